#include <fcntl.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "lockstep/core/publish.h"
#include "lockstep/doctor/checks.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

std::string kind_of(const fs::path& directory) {
  struct statfs info {};
  if (::statfs(directory.c_str(), &info) != 0) return "unknown file system";
  switch (static_cast<unsigned long>(info.f_type)) {
    case 0x6969:
      return "NFS";
    case 0x0BD00BD0:
      return "Lustre";
    case 0x47504653:
      return "GPFS";
    case 0xEF53:
      return "ext4";
    case 0x58465342:
      return "XFS";
    case 0x01021994:
      return "tmpfs";
    case 0x794c7630:
      return "overlay";
    case 0x9123683E:
      return "btrfs";
    default:
      return "file system";
  }
}

Finding free_space(const fs::path& directory) {
  struct statvfs info {};
  if (::statvfs(directory.c_str(), &info) != 0)
    return {Level::error, "files", "no space can be asked for", "see dmesg"};
  const std::uintmax_t free = static_cast<std::uintmax_t>(info.f_bavail) * info.f_frsize;
  std::string text = directory.string() + " (" + kind_of(directory) + "): " + format_bytes(free) + " free";
  const bool counts_files = info.f_files > 0;
  if (counts_files) text += ", room for " + std::to_string(info.f_favail) + " files";
  const std::string remedy = "remove old runs (lockstep runs), or choose another workspace";
  if (free < (std::uintmax_t{100} << 20)) return {Level::error, "files", text, remedy};
  if (free < (std::uintmax_t{2} << 30) || (counts_files && info.f_favail < 10'000)) {
    return {Level::warning, "files", text, remedy};
  }
  return {Level::ok, "files", text, ""};
}

// A checkpoint or record appears by renaming it over the older one.
Finding rename_and_fsync(const fs::path& folder) {
  const fs::path file = folder / "record";
  std::array<double, 5> seconds{};
  for (std::size_t i = 0; i < seconds.size(); ++i) {
    const auto start = std::chrono::steady_clock::now();
    publish_file(file, "record " + std::to_string(i));
    seconds[i] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  if (read_file(file) != "record 4" || std::distance(fs::directory_iterator(folder), {}) != 1) {
    return {Level::error, "files", "a renamed file is not what was written",
            "this file system cannot hold runs: choose another workspace"};
  }
  std::nth_element(seconds.begin(), seconds.begin() + 2, seconds.end());
  char text[96];
  std::snprintf(text, sizeof text, "a file is written, synced and renamed in %.1f ms", 1e3 * seconds[2]);
  if (seconds[2] > 0.5) {
    return {Level::warning, "files", text, "checkpoints and events will be slow: choose a workspace on another disk"};
  }
  return {Level::ok, "files", text, ""};
}

}  // namespace

Findings check_files(const fs::path& directory) {
  std::string name = (directory / ".lockstep-doctor.XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    return {{Level::error, "files", "nothing can be written in " + directory.string() + ": " + std::strerror(errno),
             "choose another folder as workspace, or ask for the right to write there"}};
  }
  Findings findings{free_space(directory)};
  try {
    findings.push_back(rename_and_fsync(name));
  } catch (const std::exception& e) {
    findings.push_back({Level::error, "files", e.what(), "choose another folder as workspace"});
  }
  std::error_code none;
  fs::remove_all(name, none);
  return findings;
}

}  // namespace lockstep
