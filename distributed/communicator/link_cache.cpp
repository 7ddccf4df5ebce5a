#include "lockstep/distributed/communicator/link_cache.h"

#include <unistd.h>

#include <cctype>
#include <cstdlib>
#include <fstream>

#include "lockstep/core/error.h"
#include "lockstep/core/machine.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/sha256.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

// "gpu017" and "gpu203" are one kind of machine: jobs get other nodes each time.
std::string host_kind() {
  std::string kind;
  for (const char c : host_name()) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) {
      kind += c;
    } else if (kind.empty() || kind.back() != '#') {
      kind += '#';
    }
  }
  return kind;
}

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 1);
  }
  return " unknown processor";
}

std::string value_of(const char* variable) {
  const char* const value = std::getenv(variable);
  return value == nullptr ? "" : value;
}

}  // namespace

std::string link_key(const NodeLayout& layout, const std::string& mpi_version) {
  std::string key = host_kind() + "," + processor() + ", " + std::to_string(sysconf(_SC_NPROCESSORS_ONLN)) + " cores;";
  for (const auto& ranks : layout.nodes) key += " " + std::to_string(ranks.size());
  return key + " ranks; " + mpi_version + "; Lockstep " LOCKSTEP_VERSION;
}

fs::path link_file(const std::string& key) {
  fs::path folder = value_of("LOCKSTEP_CACHE");
  if (folder.empty() && !value_of("XDG_CACHE_HOME").empty()) folder = fs::path(value_of("XDG_CACHE_HOME")) / "lockstep";
  if (folder.empty() && !value_of("HOME").empty()) folder = fs::path(value_of("HOME")) / ".cache/lockstep";
  return folder.empty() ? folder : folder / "links" / (sha256(key).substr(0, 16) + ".json");
}

std::string read_links(const fs::path& file) {
  try {
    return file.empty() ? std::string{} : read_file(file, 1 << 20);
  } catch (const Failure&) {
    return {};
  }
}

bool write_links(const fs::path& file, const LinkTable& links) {
  if (file.empty()) return false;
  try {
    make_directories(file.parent_path());
    publish_file(file, to_text(links));
    return true;
  } catch (const Failure&) {
    return false;
  }
}

}  // namespace lockstep
