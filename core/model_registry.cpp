#include "lockstep/core/model_registry.h"

#include <algorithm>

#include "lockstep/core/claim.h"
#include "lockstep/core/nearest_names.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/registry_version.h"
#include "lockstep/core/run_store.h"
#include "lockstep/core/sha256.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

fs::path folder(const Workspace& workspace) { return workspace.root() / "models"; }

std::vector<int> versions_of(const Workspace& workspace, const std::string& name) {
  std::vector<int> versions;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder(workspace) / name, ignored)) {
    if (const auto version = parse_version(entry.path().filename().string())) versions.push_back(*version);
  }
  std::sort(versions.begin(), versions.end());
  return versions;
}

std::vector<std::string> model_names(const Workspace& workspace) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder(workspace), ignored)) {
    const std::string name = entry.path().filename().string();
    if (is_valid_name(name) && !versions_of(workspace, name).empty()) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

ordered_json pairs_json(const std::vector<std::pair<std::string, std::string>>& datasets) {
  auto list = ordered_json::array();
  for (const auto& [purpose, dataset] : datasets) list.push_back({{"purpose", purpose}, {"dataset", dataset}});
  return list;
}

std::map<std::string, std::string> read_tags(const fs::path& file) {
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return {};
  const auto json = ordered_json::parse(read_file(file, 1 << 20), nullptr, false);
  if (!json.is_object()) fail(ErrorKind::corrupt_data, "not a JSON object", "restore or delete it", file.string());
  std::map<std::string, std::string> tags;
  for (const auto& [key, value] : json.items()) tags[key] = value.is_string() ? value.get<std::string>() : value.dump();
  return tags;
}

// Throws Failure(corrupt_data) for what is no record.
ModelRecord read_record(const fs::path& directory) {
  const fs::path file = directory / "model.json";
  try {
    const auto json = ordered_json::parse(read_file(file, 64 << 20));
    if (json.value("format", 1) > 1)
      fail(ErrorKind::usage, "the model's record was made by a newer Lockstep", "update this one", file.string());
    ModelRecord model;
    model.name = json.at("name").get<std::string>();
    model.version = json.at("version").get<int>();
    model.directory = directory;
    model.created = json.value("created", "");
    model.user = json.value("user", "");
    model.run_id = json.value("run_id", "");
    model.experiment = json.value("experiment", "");
    model.model_path = json.value("model_path", "");
    model.framework = json.value("framework", "");
    model.framework_version = json.value("framework_version", "");
    model.description = json.value("description", "");
    model.properties = json.value("properties", model.properties);
    model.lineage = json.value("lineage", ordered_json::object());
    for (const auto& one : json.value("datasets", ordered_json::array()))
      model.datasets.emplace_back(one.value("purpose", ""), one.value("dataset", ""));
    for (const auto& one : json.at("files"))
      model.files.push_back({one.at("path").get<std::string>(), one.at("bytes").get<std::int64_t>(),
                             one.at("sha256").get<std::string>()});
    model.tags = read_tags(directory / "tags.json");
    return model;
  } catch (const ordered_json::exception&) {
    fail(ErrorKind::corrupt_data, "the record of a model is damaged",
         "register the model again: that makes a new version", file.string());
  }
}

}  // namespace

std::int64_t ModelRecord::bytes() const {
  std::int64_t sum = 0;
  for (const ModelFile& file : files) sum += file.bytes;
  return sum;
}

fs::path ModelRecord::path() const { return directory / "files" / fs::path(model_path).filename(); }

Result<ModelRecord> find_model(const Workspace& workspace, std::string_view reference) try {
  const std::size_t at = reference.find('@');
  const std::string name(reference.substr(0, at));
  const std::vector<int> versions = versions_of(workspace, name);
  if (!is_valid_name(name) || versions.empty()) {
    return Error{ErrorKind::usage,
                 "there is no model \"" + name + "\"" + suggestion(name, model_names(workspace)),
                 {},
                 "lockstep models list shows them; lockstep models register RUN NAME makes one"};
  }
  if (at == std::string_view::npos) return read_record(folder(workspace) / name / std::to_string(versions.back()));
  const auto version = parse_version(reference.substr(at + 1));
  if (!version || !std::binary_search(versions.begin(), versions.end(), *version)) {
    std::string known;
    for (const int one : versions) known += (known.empty() ? "" : ", ") + std::to_string(one);
    return Error{ErrorKind::usage,
                 "the model " + name + " has no version " + std::string(reference.substr(at + 1)) + "; it has " + known,
                 {},
                 {}};
  }
  return read_record(folder(workspace) / name / std::to_string(*version));
} catch (const Failure& failure) {
  return failure.error();
}

std::vector<ModelRecord> list_models(const Workspace& workspace, std::vector<std::string>* warnings) {
  std::vector<ModelRecord> models;
  for (const std::string& name : model_names(workspace)) {
    for (const int version : versions_of(workspace, name)) {
      try {
        models.push_back(read_record(folder(workspace) / name / std::to_string(version)));
      } catch (const Failure& failure) {
        if (warnings) warnings->push_back(failure.error().message());
      }
    }
  }
  return models;
}

std::vector<fs::path> download_model(const ModelRecord& model, const fs::path& directory, bool overwrite) {
  std::error_code ignored;
  for (const ModelFile& file : model.files) {
    if (!overwrite && fs::exists(directory / file.path, ignored))
      fail(ErrorKind::usage, (directory / file.path).string() + " is there already", "take another folder, or --force");
  }
  std::vector<fs::path> paths;
  for (const ModelFile& file : model.files) {
    const fs::path target = directory / file.path;
    make_directories(fs::absolute(target).parent_path());
    std::error_code error;
    fs::copy_file(model.directory / "files" / file.path, target, fs::copy_options::overwrite_existing, error);
    if (error) fail(ErrorKind::environment, "cannot copy to " + target.string() + ": " + error.message());
    if (sha256_file(target) != file.sha256)
      fail(ErrorKind::corrupt_data, file.path + " is not what was registered", "register the model again",
           model.name + "@" + std::to_string(model.version));
    paths.push_back(target);
  }
  return paths;
}

std::map<std::string, std::string> change_model_tags(const ModelRecord& model,
                                                     const std::map<std::string, std::optional<std::string>>& changes) {
  const fs::path file = model.directory / "tags.json";
  const Claim claim = Claim::take(model.directory / "tags.claim", 20);
  auto tags = read_tags(file);
  for (const auto& [key, value] : changes) {
    if (value) {
      tags[key] = *value;
    } else {
      tags.erase(key);
    }
  }
  publish_file(file, ordered_json(tags).dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
  return tags;
}

std::vector<std::string> runs_that_use(const Workspace& workspace, const ModelRecord& model) {
  const std::string pinned = "model:" + model.name + "@" + std::to_string(model.version);
  std::vector<std::string> users;
  for (const RunSummary& run : list_runs(workspace)) {
    if (is_terminal(run.status)) continue;
    const std::string record =
        RunDirectory::open(run.directory).value().record().dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    bool used = record.find((model.directory / "files").string()) != std::string::npos;
    for (std::size_t at = record.find(pinned); at != std::string::npos && !used; at = record.find(pinned, at + 1)) {
      const char next = at + pinned.size() < record.size() ? record[at + pinned.size()] : ' ';
      used = next < '0' || next > '9';
    }
    if (used) users.push_back(run.id);
  }
  return users;
}

void remove_model(const ModelRecord& model) {
  // Renamed first: nobody finds half a model. The name stays, and with it the number is taken.
  const fs::path gone = model.directory.parent_path() / (".removed-" + std::to_string(model.version));
  std::error_code error;
  fs::rename(model.directory, gone, error);
  if (error) fail(ErrorKind::environment, "cannot remove " + model.directory.string() + ": " + error.message());
  for (const auto& entry : fs::directory_iterator(gone, error)) fs::remove_all(entry.path(), error);
}

ordered_json to_json(const ModelRecord& model) {
  auto files = ordered_json::array();
  for (const ModelFile& file : model.files)
    files.push_back({{"path", file.path}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  return {{"format", 1},
          {"name", model.name},
          {"version", model.version},
          {"created", model.created},
          {"user", model.user},
          {"run_id", model.run_id},
          {"experiment", model.experiment},
          {"model_path", model.model_path},
          {"framework", model.framework},
          {"framework_version", model.framework_version},
          {"description", model.description},
          {"properties", model.properties},
          {"datasets", pairs_json(model.datasets)},
          {"lineage", model.lineage},
          {"files", files}};
}

}  // namespace lockstep
