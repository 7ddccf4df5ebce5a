// Which revision of which repository a source directory is.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace lockstep {

struct GitProperties {
  std::string commit;     // 40 hexadecimal digits; "" before the first commit
  std::string branch;     // "" when no branch is checked out
  std::string remote;     // address of "origin", without user name and password; "" without one
  std::string directory;  // the source directory, relative to the repository's top; "" is the top
  bool dirty = false;     // something in the source directory differs from the commit, or is not in it
};

// Asks `git`; nothing when the directory is in no repository, git is not installed, or it does not answer in 10 s.
std::optional<GitProperties> git_properties(const std::filesystem::path& source);

nlohmann::ordered_json to_json(const GitProperties& properties);

// "https://user:secret@host/x.git" -> "https://host/x.git"; "git@host:x.git" stays: there is no secret in it.
std::string without_credentials(const std::string& address);

}  // namespace lockstep
