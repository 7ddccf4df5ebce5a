// Programs on disk and processes in /proc.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <map>
#include <sstream>

#include "lockstep/core/process.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

bool is_executable_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
}

std::optional<std::string> read_whole(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return {};
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

std::optional<pid_t> pid_of(const fs::path& entry) {
  const std::string name = entry.filename().string();
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
  if (error != std::errc{} || end != name.data() + name.size()) return {};
  return pid;
}

struct ProcessStat {
  pid_t parent = 0;
  std::uint64_t start_time = 0;  // in clock ticks since boot
};

// Nothing when there is no such process, or only its unreaped remains.
std::optional<ProcessStat> read_stat(pid_t pid) {
  const auto stat = read_whole("/proc/" + std::to_string(pid) + "/stat");
  if (!stat) return {};
  // "pid (name) state parent …": the name may hold spaces and parentheses; starttime is field 22, the state field 3.
  const std::size_t name_end = stat->rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream fields(stat->substr(name_end + 1));
  std::string state, skipped;
  ProcessStat process;
  fields >> state >> process.parent;
  if (state == "Z" || state == "X") return {};
  for (int field = 5; field < 22; ++field) fields >> skipped;
  if (!(fields >> process.start_time)) return {};
  return process;
}

}  // namespace

std::optional<fs::path> find_program(std::string_view program, std::string_view search_path) {
  if (program.empty()) return {};
  while (true) {
    const std::size_t colon = search_path.find(':');
    const std::string_view folder = search_path.substr(0, colon);
    std::error_code error;
    const fs::path candidate = fs::absolute((folder.empty() ? fs::path(".") : fs::path(folder)) / program, error);
    if (!error && is_executable_file(candidate)) return candidate;
    if (colon == std::string_view::npos) return {};
    search_path.remove_prefix(colon + 1);
  }
}

std::optional<std::uint64_t> process_start_time(pid_t pid) {
  const auto process = read_stat(pid);
  if (!process) return {};
  return process->start_time;
}

std::vector<pid_t> descendants_of(pid_t ancestor, pid_t spared) {
  std::multimap<pid_t, pid_t> children;
  std::error_code error;
  for (fs::directory_iterator entry("/proc", error), end; !error && entry != end; entry.increment(error)) {
    const auto pid = pid_of(entry->path());
    if (!pid || *pid == spared) continue;
    if (const auto process = read_stat(*pid)) children.emplace(process->parent, *pid);
  }
  std::vector<pid_t> found{ancestor};
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto [first, last] = children.equal_range(found[i]);
    for (auto child = first; child != last; ++child) found.push_back(child->second);
  }
  found.erase(found.begin());
  return found;
}

std::vector<pid_t> processes_with_environment(const std::string& name, const std::string& value) {
  const std::string wanted = '\0' + name + "=" + value + '\0';
  std::vector<pid_t> found;
  std::error_code error;
  for (fs::directory_iterator entry("/proc", error), end; !error && entry != end; entry.increment(error)) {
    const auto pid = pid_of(entry->path());
    struct stat status {};
    if (!pid || ::stat(entry->path().c_str(), &status) != 0 || status.st_uid != ::geteuid()) continue;
    const auto environment = read_whole(entry->path() / "environ");
    if (environment && ('\0' + *environment + '\0').find(wanted) != std::string::npos) found.push_back(*pid);
  }
  return found;
}

}  // namespace lockstep
