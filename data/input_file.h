// A file read from front to back, unpacked on the way when it is gzip.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace lockstep {

// Errors about the contents are usage errors: users bring these files. Offsets count unpacked bytes.
class InputFile {
 public:
  // gzip is told by the file's first bytes. Throws Failure: usage when there is no such regular file, when it is empty,
  // or named .gz or .tgz and not gzip; environment when it may not be read.
  explicit InputFile(const std::filesystem::path& path);
  InputFile(InputFile&&) noexcept;
  InputFile& operator=(InputFile&&) noexcept;
  ~InputFile();

  const std::filesystem::path& path() const;
  bool compressed() const;
  std::int64_t bytes_on_disk() const;
  std::int64_t offset() const;  // of the next byte

  // Exactly `bytes` bytes; refuses a file that ends before. what: for the message, "the label of record 7".
  void read(void* to, std::size_t bytes, const std::string& what);
  // The same without keeping them.
  void skip(std::int64_t bytes, const std::string& what);
  // Refuses a file that has more bytes. what: what came last.
  void expect_end(const std::string& what);

  // Throws the usage error "PATH: WHAT".
  [[noreturn]] void refuse(const std::string& what) const;

 private:
  std::size_t read_some(void* to, std::size_t bytes);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
