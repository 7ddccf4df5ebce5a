#include "lockstep/distributed/checkpoint/temporary_name.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/core/machine.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr auto kAbandonedAfter = std::chrono::hours(24);

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

std::optional<pid_t> process_number(std::string_view text) {
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  return error == std::errc() && end == text.data() + text.size() && pid > 0 ? std::optional(pid) : std::nullopt;
}

bool is_gone(pid_t pid) { return pid == getpid() || (kill(pid, 0) != 0 && errno == ESRCH); }

// owner: "HOST.PID", or "PID" of a host that is not told, which is taken for this one.
bool is_abandoned(const fs::path& path, std::string_view owner) {
  const std::size_t dot = owner.rfind('.');
  const bool here = dot == std::string_view::npos || owner.substr(0, dot) == host_name();
  const auto pid = process_number(dot == std::string_view::npos ? owner : owner.substr(dot + 1));
  if (!pid) return false;
  if (here) return is_gone(*pid);
  // Of another host's process only the age is known: a file that is being written is changed all the time.
  std::error_code error;
  const auto changed = fs::last_write_time(path, error);
  return !error && fs::file_time_type::clock::now() - changed > kAbandonedAfter;
}

}  // namespace

fs::path temporary_name(const fs::path& path) {
  return path.parent_path() / ("." + path.filename().string() + "." + host_name() + "." + std::to_string(getpid()));
}

void remove_abandoned(const fs::path& path) {
  const std::string hidden = "." + path.filename().string() + ".", plain = path.filename().string() + ".";
  std::vector<fs::path> abandoned;
  std::error_code error;
  for (fs::directory_iterator entry(folder_of(path), error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const std::string_view view = name;
    const bool is_hidden = name.starts_with(hidden);
    if (!is_hidden && !name.starts_with(plain)) continue;
    const std::string_view owner = view.substr(is_hidden ? hidden.size() : plain.size());
    if (!is_hidden && owner.find('.') != std::string_view::npos) continue;
    if (is_abandoned(entry->path(), owner)) abandoned.push_back(entry->path());
  }
  for (const fs::path& leftover : abandoned) fs::remove(leftover, error);
}

}  // namespace lockstep
