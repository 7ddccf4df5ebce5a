#include "lockstep/core/git_properties.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "lockstep/core/process.h"

namespace lockstep {
namespace {

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// What git prints, or nothing where it fails. A repository's own settings must not start programs, nothing may ask, and
// what a git hook sets for the programs it runs (this one, perhaps) is about another repository.
std::optional<std::string> ask_git(const std::filesystem::path& directory, const std::vector<std::string>& question) {
  std::vector<std::string> argv{"env",
                                "-u",
                                "GIT_DIR",
                                "-u",
                                "GIT_WORK_TREE",
                                "-u",
                                "GIT_INDEX_FILE",
                                "GIT_OPTIONAL_LOCKS=0",
                                "GIT_TERMINAL_PROMPT=0",
                                "git",
                                "-c",
                                "core.fsmonitor=false"};
  argv.insert(argv.end(), question.begin(), question.end());
  const auto result = capture({.argv = std::move(argv), .directory = directory, .new_session = true}, 10, 1 << 16);
  if (!result || result->status.code != 0) return {};
  return result->output;
}

std::string line_of(const std::filesystem::path& directory, const std::vector<std::string>& question) {
  return first_line(ask_git(directory, question).value_or(""));
}

}  // namespace

std::optional<GitProperties> git_properties(const std::filesystem::path& source) {
  const auto prefix = ask_git(source, {"rev-parse", "--show-prefix"});
  if (!prefix) return {};
  GitProperties properties;
  properties.directory = first_line(*prefix);
  if (!properties.directory.empty()) properties.directory.pop_back();  // the slash at the end
  properties.commit = line_of(source, {"rev-parse", "--verify", "--quiet", "HEAD"});
  properties.branch = line_of(source, {"symbolic-ref", "--short", "--quiet", "HEAD"});
  properties.remote = without_credentials(line_of(source, {"config", "--get", "remote.origin.url"}));
  properties.dirty = !ask_git(source, {"status", "--porcelain", "--", "."}).value_or("").empty();
  return properties;
}

nlohmann::ordered_json to_json(const GitProperties& properties) {
  return {{"commit", properties.commit},
          {"branch", properties.branch},
          {"remote", properties.remote},
          {"directory", properties.directory},
          {"dirty", properties.dirty}};
}

std::string without_credentials(const std::string& address) {
  const std::size_t scheme = address.find("://");
  if (scheme == std::string::npos) return address;
  const std::size_t begin = scheme + 3, end = address.find('/', begin);
  const std::size_t at = address.substr(0, end).rfind('@');
  if (at == std::string::npos || at < begin) return address;
  return address.substr(0, begin) + address.substr(at + 1);
}

}  // namespace lockstep
