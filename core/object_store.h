// Contents of files, each kept once however many runs hold them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "lockstep/core/error.h"

namespace lockstep {

// objects/ab/SHA256, and SHA256-x for programs: read-only, appearing complete, never changed. A snapshot's files are
// hard links to them. Several processes, on several hosts too, may use one store.
class ObjectStore {
 public:
  // Nothing is made before it is needed.
  explicit ObjectStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path path(const std::string& sha256, bool executable) const;

  // Makes `destination` a hard link of the object; a copy of it where a link cannot be (another file system, too many
  // links). False when there is no such object, or none that is as it was made: somebody has written to it.
  bool link(const std::string& sha256, bool executable, std::int64_t bytes,
            const std::filesystem::path& destination) const;

  // Takes a copy of `source` in, then links it as `destination`. Returns what was copied: a file that is written
  // meanwhile has the digest of the copy. An object of that name that is not as it was made is replaced.
  // Throws Failure(environment).
  struct Content {
    std::string sha256;
    std::int64_t bytes = 0;
  };
  Content add(const std::filesystem::path& source, bool executable, const std::filesystem::path& destination) const;

 private:
  std::filesystem::path folder_;
};

// A writable copy: shares the blocks of `from` where the file system can, until one of the two is written to.
// Throws Failure(environment). mode: the permission bits of the copy.
ObjectStore::Content copy_or_clone(const std::filesystem::path& from, const std::filesystem::path& to, unsigned mode,
                                   bool* cloned = nullptr);

}  // namespace lockstep
