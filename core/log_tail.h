// A log read while it is written: from where the last read stopped, never from the start again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace lockstep {

// One log file read bit by bit. A file that is missing is waited for; one that became shorter or was replaced is read
// from its start again (log rotation, a new attempt that truncates).
class LogTail {
 public:
  explicit LogTail(std::filesystem::path path) : path_(std::move(path)) {}
  ~LogTail();
  LogTail(LogTail&& other) noexcept;
  LogTail& operator=(LogTail&&) = delete;

  // The bytes that came since the last call, at most limit_bytes; empty: nothing new.
  std::string read_new(std::size_t limit_bytes = std::size_t{1} << 20);
  const std::filesystem::path& path() const { return path_; }

 private:
  void reopen_if_replaced();
  std::filesystem::path path_;
  int file_ = -1;
  std::uint64_t inode_ = 0, offset_ = 0;
};

}  // namespace lockstep
