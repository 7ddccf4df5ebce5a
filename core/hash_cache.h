// Digests of files that have not changed since they were last read.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace lockstep {

// What tells that a file is still the one that was read: device, inode, size, times of change. "" when it cannot be
// told.
std::string file_stamp(const std::filesystem::path& file);

// One per source directory, in a folder of the store of snapshots. Losing it costs time only.
class HashCache {
 public:
  // folder: "" keeps nothing. A cache that cannot be read is empty.
  HashCache(const std::filesystem::path& folder, const std::filesystem::path& source);

  // The digest that the file `name` had with this stamp; "" when it is not known.
  std::string find(const std::string& name, const std::string& stamp) const;
  // looked_at: when the stamp was taken, in seconds since 1970. A file that had changed just before is not kept: the
  // next change could bear the same time.
  void add(const std::string& name, const std::string& stamp, const std::string& sha256, double looked_at);
  // Replaces what is on disk by what was added. Never throws: a full disk costs the next submit some time.
  void save() const noexcept;

 private:
  struct Entry {
    std::string stamp, sha256;
  };
  std::filesystem::path file_;  // "": none
  std::map<std::string, Entry> known_, added_;
};

}  // namespace lockstep
