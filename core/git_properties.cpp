#include "lockstep/core/git_properties.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "lockstep/core/process.h"

namespace lockstep {
namespace {

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// What git prints, or nothing where it fails. A repository's own settings must not start programs, nothing may ask, and
// what a git hook sets for the programs it runs (this one, perhaps) is about another repository.
std::optional<std::string> ask_git(const std::filesystem::path& directory, const std::vector<std::string>& question,
                                   std::size_t limit_bytes = 1 << 16) {
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
  const auto result = capture({.argv = std::move(argv), .directory = directory, .new_session = true}, 10, limit_bytes);
  if (!result || result->status.code != 0) return {};
  return result->output;
}

std::string line_of(const std::filesystem::path& directory, const std::vector<std::string>& question) {
  return first_line(ask_git(directory, question).value_or(""));
}

// The names that stand between NULs.
std::vector<std::string> names_of(const std::string& text) {
  std::vector<std::string> names;
  for (std::size_t begin = 0, end; (end = text.find('\0', begin)) != std::string::npos; begin = end + 1)
    names.push_back(text.substr(begin, end - begin));
  return names;
}

// Neither a repository's own diff programs nor its text converters are started.
void look_at_changes(const std::filesystem::path& source, GitProperties& properties) {
  constexpr std::size_t kMostNames = 100;
  if (!properties.commit.empty())
    properties.diff =
        ask_git(source, {"diff", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD", "--", "."}, kMostDiffBytes + 1)
            .value_or("");
  properties.diff_is_cut = properties.diff.size() > kMostDiffBytes;
  if (properties.diff_is_cut) properties.diff.resize(properties.diff.rfind('\n', kMostDiffBytes - 1) + 1);
  properties.untracked =
      names_of(ask_git(source, {"ls-files", "-z", "--others", "--exclude-standard", "--", "."}, 1 << 22).value_or(""));
  properties.untracked_count = static_cast<std::int64_t>(properties.untracked.size());
  if (properties.untracked.size() > kMostNames) properties.untracked.resize(kMostNames);
}

// " 1234… path (describe)", with + or - in front of what is not as recorded.
std::map<std::string, std::string> submodules_of(const std::filesystem::path& source) {
  std::map<std::string, std::string> found;
  std::istringstream lines(ask_git(source, {"submodule", "status"}).value_or(""));
  for (std::string line; std::getline(lines, line);) {
    const auto blank = line.find(' ', 1);
    if (blank == std::string::npos) continue;
    const auto end = line.rfind(" (");
    found[line.substr(blank + 1, end == std::string::npos || end <= blank ? end : end - blank - 1)] =
        line.substr(line[0] == ' ' ? 1 : 0, line[0] == ' ' ? blank - 1 : blank);
  }
  return found;
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
  properties.remote = without_credentials(line_of(source, {"ls-remote", "--get-url"}));
  properties.description = line_of(source, {"describe", "--always", "--dirty", "--tags"});
  properties.dirty = !ask_git(source, {"status", "--porcelain", "--", "."}).value_or("").empty();
  if (properties.dirty) look_at_changes(source, properties);
  properties.submodules = submodules_of(source);
  return properties;
}

nlohmann::ordered_json to_json(const GitProperties& properties) {
  nlohmann::ordered_json json{{"commit", properties.commit},           {"branch", properties.branch},
                              {"remote", properties.remote},           {"directory", properties.directory},
                              {"description", properties.description}, {"dirty", properties.dirty}};
  if (properties.branch.empty() && !properties.commit.empty()) json["detached"] = true;
  if (!properties.diff.empty())
    json["diff"] = {{"file", "git_diff.patch"}, {"bytes", properties.diff.size()}, {"cut", properties.diff_is_cut}};
  if (properties.untracked_count > 0) {
    json["untracked"] = properties.untracked;
    json["untracked_count"] = properties.untracked_count;
  }
  if (!properties.submodules.empty()) json["submodules"] = properties.submodules;
  return json;
}

GitProperties git_properties_from_json(const nlohmann::ordered_json& json) {
  GitProperties properties;
  properties.commit = json.value("commit", "");
  properties.branch = json.value("branch", "");
  properties.remote = json.value("remote", "");
  properties.directory = json.value("directory", "");
  properties.description = json.value("description", "");
  properties.dirty = json.value("dirty", false);
  properties.untracked = json.value("untracked", properties.untracked);
  properties.untracked_count = json.value("untracked_count", std::int64_t{0});
  properties.submodules = json.value("submodules", properties.submodules);
  return properties;
}

std::map<std::string, std::string> azure_git_properties(const GitProperties& properties) {
  std::map<std::string, std::string> named;
  const auto set = [&](const std::string& azure, const std::string& mlflow, const std::string& value) {
    if (value.empty()) return;
    named["azureml.git." + azure] = value;
    if (!mlflow.empty()) named["mlflow.source.git." + mlflow] = value;
  };
  set("repository_uri", "repoURL", properties.remote);
  set("branch", "branch", properties.branch);
  set("commit", "commit", properties.commit);
  set("dirty", "", properties.dirty ? "True" : "False");
  return named;
}

std::string without_credentials(const std::string& address) {
  const std::size_t scheme = address.find("://");
  if (scheme == std::string::npos) return address;
  // Tokens travel in queries too.
  const std::string place = address.substr(0, address.find_first_of("?#", scheme + 3));
  const std::size_t begin = scheme + 3, end = place.find('/', begin);
  const std::size_t at = place.substr(0, end).rfind('@');
  if (at == std::string::npos || at < begin) return place;
  return place.substr(0, begin) + place.substr(at + 1);
}

}  // namespace lockstep
