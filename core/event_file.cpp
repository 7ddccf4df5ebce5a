// The writer of event files; event_reader.h has the reader.
#include "lockstep/core/event_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <utility>

#include "lockstep/core/error.h"
#include "lockstep/core/event_encoding.h"
#include "lockstep/core/machine.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kPrefix = "events.out.tfevents.";

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// A time that is no number would make readers refuse the rest of the file.
double sound_time(std::optional<double> wall_time) {
  return wall_time && std::isfinite(*wall_time) ? *wall_time : seconds_now();
}

// The second to name a new file by: now, but later than every file already there, whatever other hosts' clocks say.
std::int64_t next_second(const fs::path& directory) {
  constexpr std::int64_t kLastOfTenDigits = 9'999'999'999;
  auto second = static_cast<std::int64_t>(seconds_now());
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    const std::string name = entry.path().filename().string();
    std::int64_t theirs = 0;
    if (!name.starts_with(kPrefix)) continue;
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), theirs);
    if (theirs < kLastOfTenDigits) second = std::max(second, theirs + 1);
  }
  return second;
}

fs::path file_name(std::int64_t second, int number) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%010lld", static_cast<long long>(second));
  return std::string(kPrefix) + digits + "." + host_name() + "." + std::to_string(::getpid()) + "." +
         std::to_string(number);
}

}  // namespace

EventFileWriter::EventFileWriter(const fs::path& directory) {
  const std::int64_t second = next_second(directory);
  for (int number = 0; file_ < 0; ++number) {
    path_ = directory / file_name(second, number);
    file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (file_ < 0 && errno != EEXIST) fail_errno("cannot write metrics into " + directory.string());
  }
  if (write_record(encode_file_version(seconds_now()))) return;
  const int code = errno;
  ::close(file_);
  ::unlink(path_.c_str());
  errno = code;
  fail_errno("cannot write metrics into " + directory.string());
}

EventFileWriter::~EventFileWriter() {
  if (file_ >= 0) ::close(file_);
}

EventFileWriter::EventFileWriter(EventFileWriter&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)) {}

bool EventFileWriter::scalar(std::string_view tag, double value, std::int64_t step, std::optional<double> wall_time) {
  return write_record(encode_scalar(tag, value, step, sound_time(wall_time)));
}

bool EventFileWriter::text(std::string_view tag, std::string_view value, std::int64_t step,
                           std::optional<double> wall_time) {
  return write_record(encode_text(tag, value, step, sound_time(wall_time)));
}

bool EventFileWriter::image(std::string_view tag, std::string_view file, int width, int height, int channels,
                            std::int64_t step) {
  return write_record(encode_image(tag, file, width, height, channels, step, seconds_now()));
}

bool EventFileWriter::record(std::string_view tag, std::string_view json, std::int64_t step) {
  return write_record(encode_record(tag, json, step, seconds_now()));
}

// Leaves errno when it fails.
bool EventFileWriter::write_record(std::string_view event) {
  if (file_ < 0) return errno = EBADF, false;
  const std::string record = frame_record(event);
  ssize_t written = 0;
  do {
    written = ::write(file_, record.data(), record.size());
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(record.size())) return true;
  if (written < 0) return false;

  // The disk filled up within the record. Half a record in the middle would end the file for every reader: take it
  // back, and where even that fails write no more.
  struct stat now {};
  const bool undone = ::fstat(file_, &now) == 0 && ::ftruncate(file_, now.st_size - written) == 0;
  if (!undone) ::close(std::exchange(file_, -1));
  errno = ENOSPC;
  return false;
}

}  // namespace lockstep
