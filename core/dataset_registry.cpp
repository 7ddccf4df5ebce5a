#include "lockstep/core/dataset_registry.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "lockstep/core/nearest_names.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/registry_version.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

fs::path record_path(const Workspace& workspace, const std::string& name, int version) {
  return workspace.datasets() / name / (std::to_string(version) + ".json");
}

std::vector<int> versions_of(const Workspace& workspace, const std::string& name) {
  std::vector<int> versions;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(workspace.datasets() / name, ignored)) {
    const auto version = parse_version(entry.path().stem().string());
    if (version && entry.path().extension() == ".json") versions.push_back(*version);
  }
  std::sort(versions.begin(), versions.end());
  return versions;
}

std::vector<std::string> dataset_names(const Workspace& workspace) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(workspace.datasets(), ignored)) {
    const std::string name = entry.path().filename().string();
    if (is_valid_name(name) && !versions_of(workspace, name).empty()) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string to_text(const DatasetRecord& record) {
  const ordered_json json = {{"format", 1},
                             {"name", record.name},
                             {"version", record.version},
                             {"path", record.path.string()},
                             {"kind", record.kind},
                             {"sha256", record.sha256},
                             {"bytes", record.bytes},
                             {"files", record.files},
                             {"source", record.source},
                             {"description", record.description},
                             {"created", record.created},
                             {"tags", record.tags}};
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Result<DatasetRecord> read_record(const Workspace& workspace, const std::string& name, int version) {
  const fs::path file = record_path(workspace, name, version);
  try {
    const auto json = ordered_json::parse(read_file(file, 1 << 20));
    DatasetRecord record;
    record.name = name;
    record.version = version;
    if (json.value("format", 1) > 1)
      return Error{ErrorKind::environment, "the record was made by a newer Lockstep", file.string(), {}};
    record.path = json.at("path").get<std::string>();
    record.sha256 = json.at("sha256").get<std::string>();
    // Earlier records held files that lockstep-train takes, with a digest, and folders without one.
    record.kind = json.value("kind", record.sha256.empty() ? "folder" : "hdf5");
    record.bytes = json.at("bytes").get<std::int64_t>();
    record.files = json.value("files", std::int64_t{1});
    record.tags = json.value("tags", record.tags);
    record.source = json.at("source").get<std::string>();
    record.description = json.at("description").get<std::string>();
    record.created = json.at("created").get<std::string>();
    return record;
  } catch (const Failure& failure) {
    return failure.error();
  } catch (const ordered_json::exception&) {
    return Error{ErrorKind::corrupt_data,
                 "the record of data set " + name + " version " + std::to_string(version) + " is damaged",
                 file.string(), "register the data set again: that makes a new version"};
  }
}

}  // namespace

Result<DatasetRecord> register_dataset(const Workspace& workspace, DatasetRecord record) try {
  if (!is_valid_name(record.name)) {
    return Error{ErrorKind::usage,
                 "'" + record.name + "' cannot name a data set",
                 {},
                 "use letters, digits, '.', '_' and '-', at most 128, and begin with a letter or a digit"};
  }
  record.path = fs::absolute(record.path).lexically_normal();
  if (record.created.empty()) record.created = utc_now();
  make_directories(workspace.datasets() / record.name);
  const auto versions = versions_of(workspace, record.name);
  for (int newest = versions.empty() ? 0 : versions.back();; ++newest) {
    if (newest > 0) {
      auto known = read_record(workspace, record.name, newest);
      if (known && known->path == record.path && known->sha256 == record.sha256) return known;
    }
    record.version = newest + 1;
    if (publish_new_file(record_path(workspace, record.name, record.version), to_text(record))) return record;
    // Another process took this version a moment ago. Listing again would not do: NFS shows old listings for a while.
  }
} catch (const Failure& failure) {
  return failure.error();
}

Result<DatasetRecord> remove_dataset(const Workspace& workspace, const std::string& name, int version) {
  const auto record = find_dataset(workspace, name + "@" + std::to_string(version));
  std::error_code error;
  if (record && !fs::remove(record_path(workspace, name, version), error) && error)
    return Error{ErrorKind::environment,
                 "cannot remove the record: " + error.message(),
                 record_path(workspace, name, version).string(),
                 {}};
  return record;
}

Result<DatasetRecord> find_dataset(const Workspace& workspace, std::string_view reference) {
  const auto at = reference.find('@');
  const std::string name(reference.substr(0, at));
  const auto versions = is_valid_name(name) ? versions_of(workspace, name) : std::vector<int>();
  if (versions.empty()) {
    const auto names = dataset_names(workspace);
    const std::string others =
        names.empty() ? "; none is registered in " + workspace.datasets().string() : suggestion(name, names);
    return Error{
        ErrorKind::usage, "there is no data set '" + name + "'" + others, {}, "`lockstep data list` shows all"};
  }
  if (at == std::string_view::npos) return read_record(workspace, name, versions.back());
  const std::string_view typed = reference.substr(at + 1);
  const auto version = parse_version(typed);
  if (!version || !std::binary_search(versions.begin(), versions.end(), *version)) {
    return Error{ErrorKind::usage,
                 "data set " + name + " has no version '" + std::string(typed) + "'; it has " +
                     std::to_string(versions.front()) + " to " + std::to_string(versions.back()),
                 {},
                 "write " + name + " for the newest version"};
  }
  return read_record(workspace, name, *version);
}

std::vector<DatasetRecord> list_datasets(const Workspace& workspace, std::vector<std::string>* warnings) {
  std::vector<DatasetRecord> records;
  for (const std::string& name : dataset_names(workspace)) {
    for (const int version : versions_of(workspace, name)) {
      auto record = read_record(workspace, name, version);
      if (record) {
        records.push_back(*record);
      } else if (warnings != nullptr) {
        warnings->push_back(record.error().message());
      }
    }
  }
  return records;
}

}  // namespace lockstep
