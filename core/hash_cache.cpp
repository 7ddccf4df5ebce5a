#include "lockstep/core/hash_cache.h"

#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "lockstep/core/publish.h"
#include "lockstep/core/sha256.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr double kTooFresh = 3;  // seconds: above the resolution of any file system's times

long long nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000LL + time.tv_nsec; }

}  // namespace

std::string file_stamp(const fs::path& file) {
  struct stat status {};
  if (::lstat(file.c_str(), &status) != 0) return {};
  // The times first: `add` reads them.
  return std::to_string(nanoseconds(status.st_mtim)) + " " + std::to_string(nanoseconds(status.st_ctim)) + " " +
         std::to_string(status.st_size) + " " + std::to_string(status.st_dev) + " " + std::to_string(status.st_ino);
}

HashCache::HashCache(const fs::path& folder, const fs::path& source) {
  if (folder.empty()) return;
  file_ = folder / ".hashes" / (sha256(source.string()).substr(0, 32) + ".json");
  std::error_code error;
  if (!fs::exists(file_, error)) return;
  try {
    const Json json = Json::parse(read_file(file_));
    for (const auto& [name, entry] : json.at("files").items())
      known_[name] = {entry.at(0).get<std::string>(), entry.at(1).get<std::string>()};
  } catch (const std::exception&) {
    known_.clear();
  }
}

std::string HashCache::find(const std::string& name, const std::string& stamp) const {
  const auto found = known_.find(name);
  return found != known_.end() && !stamp.empty() && found->second.stamp == stamp ? found->second.sha256 : "";
}

void HashCache::add(const std::string& name, const std::string& stamp, const std::string& sha256, double looked_at) {
  std::istringstream words(stamp);
  long long modified = 0, changed = 0;
  if (file_.empty() || !(words >> modified >> changed)) return;
  if (1e-9 * static_cast<double>(std::max(modified, changed)) > looked_at - kTooFresh) return;
  added_[name] = {stamp, sha256};
}

void HashCache::save() const noexcept try {
  if (file_.empty() || added_.empty()) return;
  Json json{{"format", 1}, {"files", Json::object()}};
  for (const auto& [name, entry] : added_) json["files"][name] = {entry.stamp, entry.sha256};
  make_directories(file_.parent_path());
  publish_file(file_, json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
} catch (const std::exception&) {
  return;
}

}  // namespace lockstep
