// A file that appears whole or not at all, for writers that need a path and not a buffer.
#pragma once

#include <filesystem>

namespace lockstep {

// Reserves a temporary name beside the target; removes what lies there unless publish() was reached.
class NewFile {
 public:
  // Makes the target's folder where it is missing. Throws Failure: usage when `target` exists and replace is false,
  // environment when the folder cannot be made.
  NewFile(std::filesystem::path target, bool replace);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  // Where to write: in the target's folder, not existing yet.
  const std::filesystem::path& temporary() const { return temporary_; }
  const std::filesystem::path& target() const { return target_; }

  // fsync, then the temporary file becomes the target, then fsync of the folder. Without `replace` a target that
  // appeared meanwhile is a usage error, and stays as it is.
  void publish();

 private:
  std::filesystem::path target_, temporary_;
  bool replace_;
};

}  // namespace lockstep
