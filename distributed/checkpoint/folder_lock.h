// One training at a time writes into a folder.
#pragma once

#include <filesystem>

#include "lockstep/core/file_descriptor.h"

namespace lockstep {

// Held by an open file, so it is gone with the process, however that ends. Movable; an empty one holds nothing.
class FolderLock {
 public:
  FolderLock() = default;
  // Locks FOLDER/.lock and writes who holds it into it. Waits up to two seconds for a process that is about to end (an
  // earlier attempt of the same run). Throws Failure(environment), naming process and host, when the lock is taken.
  // Where the file system has no locks, nothing is held and nothing is thrown.
  explicit FolderLock(const std::filesystem::path& folder);

  bool held() const { return static_cast<bool>(file_); }

 private:
  FileDescriptor file_;
};

}  // namespace lockstep
