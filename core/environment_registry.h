// Registered environments: environments/NAME/VERSION.json in the workspace, versions counted from 1, never changed once
// written; and the ones that Lockstep brings with it (names "lockstep-…").
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lockstep/core/environment.h"
#include "lockstep/core/error.h"
#include "lockstep/core/workspace.h"

namespace lockstep {

struct EnvironmentRecord {
  Environment environment;
  std::string created;  // UTC, ISO 8601; "" for one that comes with Lockstep
  std::string user;
  bool curated = false;
};

// Writes the next version of environment.name. The same definition as the newest version: returns that one, nothing is
// written. Usage error for a name that is not valid or reserved ("lockstep-…", "Microsoft…", "AzureML…"), and for an
// environment that validate() finds fault with; environment error when the workspace cannot be written.
Result<EnvironmentRecord> register_environment(const Workspace& workspace, Environment environment);

// "NAME" (newest), "NAME@3", "NAME@latest" or the name of a curated one. workspace: nullptr when there is none yet.
// Usage error with the nearest names when unknown.
Result<EnvironmentRecord> find_environment(const Workspace* workspace, std::string_view reference);

// All versions of all names, sorted, then the curated ones. Damaged records become a line in `warnings`.
std::vector<EnvironmentRecord> list_environments(const Workspace* workspace,
                                                 std::vector<std::string>* warnings = nullptr);

// Removes "NAME@3". What was built from it stays. Usage error when unknown, curated, or without a version.
Result<EnvironmentRecord> delete_environment(const Workspace& workspace, std::string_view reference);

// What Lockstep brings: lockstep-minimal, -pytorch, -tensorflow, -keras, -chainer, -sklearn, -cpp.
const std::vector<Environment>& curated_environments();

}  // namespace lockstep
