// Which revision of which repository a source directory is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

struct GitProperties {
  std::string commit;       // 40 hexadecimal digits; "" before the first commit
  std::string branch;       // "" when no branch is checked out
  std::string remote;       // where it is fetched from, without user name, password and query; "" without one
  std::string directory;    // the source directory, relative to the repository's top; "" is the top
  std::string description;  // `git describe`: the nearest tag, how far from it, and "-dirty"
  bool dirty = false;       // something in the source directory differs from the commit, or is not in it
  // What differs from the commit in the source directory: text that `git apply` takes, but for binary files. At most
  // kMostDiffBytes of it.
  std::string diff = {};
  bool diff_is_cut = false;
  std::vector<std::string> untracked = {};  // files that are not in the commit and not ignored, the first hundred
  std::int64_t untracked_count = 0;
  std::map<std::string, std::string> submodules = {};  // path -> commit, with + before one that is not the recorded one
};

inline constexpr std::size_t kMostDiffBytes = 1'000'000;

// Asks `git`; nothing when the directory is in no repository, git is not installed, or it does not answer in 10 s.
std::optional<GitProperties> git_properties(const std::filesystem::path& source);

// Without the text of the difference, of which it says how long it is.
nlohmann::ordered_json to_json(const GitProperties& properties);
// What to_json wrote; unknown members are ignored.
GitProperties git_properties_from_json(const nlohmann::ordered_json& json);

// By the names that Azure ML and MLflow give them: azureml.git.commit, mlflow.source.git.branch, …
std::map<std::string, std::string> azure_git_properties(const GitProperties& properties);

// "https://user:secret@host/x.git?token=secret" -> "https://host/x.git"; "git@host:x.git" stays: there is no secret in
// it.
std::string without_credentials(const std::string& address);

}  // namespace lockstep
