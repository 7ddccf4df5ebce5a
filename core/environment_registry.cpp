#include "lockstep/core/environment_registry.h"

#include <strings.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "lockstep/core/machine.h"
#include "lockstep/core/nearest_names.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/registry_version.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

fs::path folder(const Workspace& workspace) { return workspace.root() / "environments"; }

fs::path record_path(const Workspace& workspace, const std::string& name, int version) {
  return folder(workspace) / name / (std::to_string(version) + ".json");
}

std::vector<int> versions_of(const Workspace& workspace, const std::string& name) {
  std::vector<int> versions;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder(workspace) / name, ignored))
    if (const auto version = parse_version(entry.path().stem().string());
        version && entry.path().extension() == ".json")
      versions.push_back(*version);
  std::sort(versions.begin(), versions.end());
  return versions;
}

std::vector<std::string> registered_names(const Workspace* workspace) {
  std::vector<std::string> names;
  if (!workspace) return names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder(*workspace), ignored)) {
    const std::string name = entry.path().filename().string();
    if (is_valid_name(name) && !versions_of(*workspace, name).empty()) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<EnvironmentRecord> read_record(const Workspace& workspace, const std::string& name, int version) {
  const fs::path file = record_path(workspace, name, version);
  try {
    const Json json = Json::parse(read_file(file, 1 << 20));
    EnvironmentRecord record;
    record.environment = environment_from_json(json);
    record.environment.name = name;
    record.environment.version = version;
    record.created = json.value("created", "");
    record.user = json.value("user", "");
    return record;
  } catch (const Json::exception&) {
  } catch (const Failure& failure) {
    if (failure.error().kind != ErrorKind::corrupt_data) return failure.error();
  }
  return Error{ErrorKind::corrupt_data,
               "the record of environment " + name + " version " + std::to_string(version) + " is damaged",
               file.string(), "register the environment again: that makes a new version"};
}

bool begins_with(std::string_view name, std::string_view prefix) {
  return name.size() >= prefix.size() && ::strncasecmp(name.data(), prefix.data(), prefix.size()) == 0;
}

std::optional<Error> check_new_name(const std::string& name) {
  if (!is_valid_name(name))
    return Error{ErrorKind::usage,
                 "\"" + name + "\" cannot name an environment",
                 {},
                 "use letters, digits and . _ -, beginning with a letter or digit, at most 128"};
  for (const std::string_view reserved : {"lockstep-", "Microsoft", "AzureML"})
    if (begins_with(name, reserved))
      return Error{ErrorKind::usage,
                   "\"" + name + "\": names that begin with " + std::string(reserved) + " are reserved",
                   {},
                   "choose another one, for example my-" + name};
  return {};
}

}  // namespace

Result<EnvironmentRecord> register_environment(const Workspace& workspace, Environment environment) try {
  if (const auto bad = check_new_name(environment.name)) return *bad;
  if (const auto errors = validate(environment); !errors.empty()) return errors.front();
  const std::string name = environment.name, hash = environment.hash();
  make_directories(folder(workspace) / name);
  const auto versions = versions_of(workspace, name);
  for (int newest = versions.empty() ? 0 : versions.back();; ++newest) {
    if (newest > 0)
      if (auto known = read_record(workspace, name, newest); known && known->environment.hash() == hash) return known;
    environment.version = newest + 1;
    const EnvironmentRecord record{environment, utc_now(), user_name(), false};
    Json json = to_json(environment);
    json["created"] = record.created;
    json["user"] = record.user;
    if (publish_new_file(record_path(workspace, name, environment.version),
                         json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"))
      return record;
    // Another process took this version a moment ago: the next one, unless that one is the same.
  }
} catch (const Failure& failure) {
  return failure.error();
}

Result<EnvironmentRecord> find_environment(const Workspace* workspace, std::string_view reference) {
  const auto at = reference.find('@');
  const std::string name(reference.substr(0, at));
  const std::string typed(at == std::string_view::npos ? "" : reference.substr(at + 1));
  const bool latest = at == std::string_view::npos || typed == "latest";
  for (const Environment& curated : curated_environments())
    if (curated.name == name && (latest || typed == "1")) return EnvironmentRecord{curated, {}, {}, true};
  const auto versions = workspace && is_valid_name(name) ? versions_of(*workspace, name) : std::vector<int>();
  if (versions.empty()) {
    auto names = registered_names(workspace);
    for (const Environment& curated : curated_environments()) names.push_back(curated.name);
    return Error{ErrorKind::usage,
                 "there is no environment \"" + name + "\"" + suggestion(name, names),
                 {},
                 "`lockstep env list` shows all, `lockstep env create` makes one"};
  }
  const auto version = latest ? std::optional(versions.back()) : parse_version(typed);
  if (!version || !std::binary_search(versions.begin(), versions.end(), *version))
    return Error{ErrorKind::usage,
                 "environment " + name + " has no version \"" + typed + "\"; it has " +
                     std::to_string(versions.front()) + " to " + std::to_string(versions.back()),
                 {},
                 "write " + name + " for the newest version"};
  return read_record(*workspace, name, *version);
}

std::vector<EnvironmentRecord> list_environments(const Workspace* workspace, std::vector<std::string>* warnings) {
  std::vector<EnvironmentRecord> records;
  for (const std::string& name : registered_names(workspace))
    for (const int version : versions_of(*workspace, name)) {
      auto record = read_record(*workspace, name, version);
      if (record)
        records.push_back(*record);
      else if (warnings)
        warnings->push_back(record.error().message());
    }
  for (const Environment& curated : curated_environments()) records.push_back({curated, {}, {}, true});
  return records;
}

Result<EnvironmentRecord> delete_environment(const Workspace& workspace, std::string_view reference) {
  if (reference.find('@') == std::string_view::npos)
    return Error{ErrorKind::usage,
                 "which version of " + std::string(reference) + " is to be deleted is not said",
                 {},
                 "write " + std::string(reference) + "@1"};
  auto record = find_environment(&workspace, reference);
  if (!record) return record;
  if (record->curated)
    return Error{ErrorKind::usage, record->environment.name + " comes with Lockstep and cannot be deleted", {}, {}};
  const fs::path file = record_path(workspace, record->environment.name, record->environment.version);
  std::error_code error;
  if (!fs::remove(file, error) && error)
    return Error{ErrorKind::environment, "cannot remove " + file.string() + ": " + error.message(), {}, {}};
  fs::remove(file.parent_path(), error);  // only when it is empty
  return record;
}

}  // namespace lockstep
