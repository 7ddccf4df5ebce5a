// A workspace is a directory with .lockstep/config.json in it: the only database.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "lockstep/core/error.h"

namespace lockstep {

class Workspace {
 public:
  // Creates directory/.lockstep/config.json ({"workspace": name, "root": …}); an existing one is returned as it is.
  // name: empty = the directory's own name, with '_' for what a name may not hold. Usage error: the name given is not
  // [A-Za-z0-9][A-Za-z0-9._-]*; environment error: cannot write there.
  static Result<Workspace> create(const std::filesystem::path& directory, std::string name = {});

  // The workspace found upward from `start` as git finds .git. Usage error when there is none: says where it looked.
  // The place of the file counts, not the "root" in it: a workspace can be moved. Corrupt-data error for a damaged
  // file.
  static Result<Workspace> from_config(const std::filesystem::path& start = std::filesystem::current_path());

  // from_config, else create(start) with a one-line notice on stderr.
  static Result<Workspace> find_or_create(const std::filesystem::path& start = std::filesystem::current_path());

  const std::string& name() const { return name_; }
  const std::filesystem::path& root() const { return root_; }  // absolute …/.lockstep
  std::filesystem::path runs() const { return root_ / "runs"; }
  std::filesystem::path datasets() const { return root_ / "datasets"; }

 private:
  std::string name_;
  std::filesystem::path root_;
};

// [A-Za-z0-9][A-Za-z0-9._-]*, at most 128 characters: what may name a workspace, experiment, data set, model, target.
bool is_valid_name(std::string_view name);

}  // namespace lockstep
