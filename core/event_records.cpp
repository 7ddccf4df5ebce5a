#include "lockstep/core/event_records.h"

#include <sys/stat.h>

#include <cstring>

#include "lockstep/core/crc32c.h"

namespace lockstep {
namespace {

std::uint32_t stored_checksum(const char* bytes) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes, 4);
  return value;
}

}  // namespace

bool RecordReader::refresh() {
  if (!problem_.empty()) return false;
  if (file_ == nullptr) file_.reset(std::fopen(path_.c_str(), "rbe"));
  struct stat info {};
  if (file_ == nullptr || ::fstat(::fileno(file_.get()), &info) != 0) {
    problem_ = "cannot be read";
    return true;
  }
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size == size_) return false;
  if (size < position_) {
    damage("has become shorter");
    return true;
  }
  size_ = size;
  // Past a torn tail, which may be complete now; this empties the buffer of what was read too.
  std::fseek(file_.get(), static_cast<long>(position_), SEEK_SET);
  read_ = position_;
  waits_ = false;
  return true;
}

bool RecordReader::next(std::string& event) {
  constexpr std::uint64_t kHeader = 12, kTrailer = 4, kLongestRecord = 1 << 30;
  if (!problem_.empty() || waits_ || size_ - position_ < kHeader) return false;
  char header[kHeader];
  if (!take(header, kHeader)) return false;
  std::uint64_t length = 0;
  std::memcpy(&length, header, 8);
  if (stored_checksum(header + 8) != masked_crc32c({header, 8}))
    return damage("the checksum of a record's length is wrong");
  if (length > kLongestRecord) return damage("a record is longer than 1 GiB");
  if (length + kTrailer > size_ - read_) {  // torn: the writer was killed, or is at work
    waits_ = true;
    return false;
  }
  event.resize(length);
  char trailer[kTrailer];
  if (!take(event.data(), length) || !take(trailer, kTrailer)) return false;
  if (stored_checksum(trailer) != masked_crc32c(event)) return damage("a record's checksum is wrong");
  position_ = read_;
  return true;
}

bool RecordReader::damage(const std::string& what) {
  problem_ = what;
  position_ = read_;
  return false;
}

bool RecordReader::take(char* bytes, std::uint64_t count) {
  if (std::fread(bytes, 1, count, file_.get()) != count) return damage("cannot be read to its end");
  read_ += count;
  return true;
}

}  // namespace lockstep
