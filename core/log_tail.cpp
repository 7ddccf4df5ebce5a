#include "lockstep/core/log_tail.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace lockstep {

LogTail::~LogTail() {
  if (file_ >= 0) ::close(file_);
}

LogTail::LogTail(LogTail&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::exchange(other.file_, -1)),
      inode_(other.inode_),
      offset_(other.offset_) {}

void LogTail::reopen_if_replaced() {
  struct stat status {};
  if (::stat(path_.c_str(), &status) != 0) return;  // gone: what is open can still be read to its end
  const bool same = file_ >= 0 && status.st_ino == inode_;
  if (same && static_cast<std::uint64_t>(status.st_size) >= offset_) return;
  if (!same) {
    const int opened = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (opened < 0) return;
    if (file_ >= 0) ::close(file_);
    file_ = opened;
    inode_ = status.st_ino;
  }
  offset_ = 0;
}

std::string LogTail::read_new(std::size_t limit_bytes) {
  reopen_if_replaced();
  struct stat status {};
  if (file_ < 0 || ::fstat(file_, &status) != 0) return {};
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size <= offset_) return {};
  std::string text(std::min<std::uint64_t>(limit_bytes, size - offset_), '\0');
  const ssize_t got = ::pread(file_, text.data(), text.size(), static_cast<off_t>(offset_));
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  offset_ += text.size();
  return text;
}

}  // namespace lockstep
