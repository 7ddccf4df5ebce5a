// A file in memory, read-only, its pages shared with every other process that maps it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace lockstep {

class MappedFile {
 public:
  MappedFile() = default;
  // Throws Failure(environment) when the file cannot be opened or mapped.
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::int64_t size() const { return size_; }
  // Bytes [offset, offset + bytes). Throws Failure(usage) when the file ends before. The file must not be made shorter
  // while it is mapped: the kernel then ends the process with SIGBUS.
  const std::uint8_t* at(std::int64_t offset, std::int64_t bytes) const;

 private:
  std::filesystem::path path_;
  void* data_ = nullptr;
  std::int64_t size_ = 0;
};

}  // namespace lockstep
