// The records of one event file, one after another, while it is still being written to.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

namespace lockstep {

// Bounded by the file's size: a length in it can promise no more than is there.
class RecordReader {
 public:
  explicit RecordReader(std::filesystem::path path) : path_(std::move(path)) {}

  // Looks how long the file is now; goes on after the last record that was complete. False: it has not grown.
  bool refresh();
  // False at the end of what is complete, and at damage, which problem() then names. Damage is for good.
  bool next(std::string& event);
  // Ends the file here: what follows is not to be believed.
  bool damage(const std::string& what);

  const std::filesystem::path& path() const { return path_; }
  const std::string& problem() const { return problem_; }
  std::uint64_t position() const { return position_; }  // after the last complete record

 private:
  bool take(char* bytes, std::uint64_t count);
  std::filesystem::path path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_{nullptr, &std::fclose};
  std::uint64_t size_ = 0, position_ = 0, read_ = 0;
  bool waits_ = false;  // for the rest of a record
  std::string problem_;
};

}  // namespace lockstep
