#include "lockstep/data/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "lockstep/core/error.h"

namespace lockstep {

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail_errno("cannot be opened", {}, path.string());
  struct stat status {};
  const bool known = fstat(descriptor, &status) == 0;
  size_ = known ? status.st_size : 0;
  if (size_ > 0) data_ = mmap(nullptr, static_cast<std::size_t>(size_), PROT_READ, MAP_SHARED, descriptor, 0);
  if (!known || data_ == MAP_FAILED) {
    data_ = nullptr;
    const Failure failure(Error{ErrorKind::environment, "cannot be mapped into memory", path.string(), {}});
    ::close(descriptor);
    throw failure;
  }
  ::close(descriptor);  // the mapping stays
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(data_, static_cast<std::size_t>(size_));
}

const std::uint8_t* MappedFile::at(std::int64_t offset, std::int64_t bytes) const {
  if (offset < 0 || bytes < 0 || bytes > size_ || offset > size_ - bytes) {
    fail(ErrorKind::usage,
         "is " + std::to_string(size_) + " bytes long, but its contents claim bytes " + std::to_string(offset) +
             " to " + std::to_string(offset + bytes),
         "the file is incomplete; copy or import it again", path_.string());
  }
  return static_cast<const std::uint8_t*>(data_) + offset;
}

}  // namespace lockstep
