// Registered models: models/NAME/VERSION/{model.json, files/…, tags.json} in the workspace, versions counted from 1.
// All but the tags is never changed once it is there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/core/workspace.h"

namespace lockstep {

struct ModelFile {
  std::string path;  // below files/
  std::int64_t bytes = 0;
  std::string sha256;
};

// What to register of a run. The names are those of Azure ML's register_model.
struct ModelRequest {
  std::string model_name;
  // A file or folder of the run: "outputs/model.h5". Absent: the one called model_name, in the run or in its outputs.
  std::optional<std::string> model_path = {};
  std::map<std::string, std::string> tags = {};        // may change later
  std::map<std::string, std::string> properties = {};  // never
  std::string model_framework = {}, model_framework_version = {}, description = {};
  std::vector<std::pair<std::string, std::string>> datasets = {};  // purpose and data set: {"training", "mnist@2"}
};

struct ModelRecord {
  std::string name;
  int version = 0;
  std::filesystem::path directory;  // of the version; the files lie in directory/files
  std::string created, user;        // UTC, ISO 8601
  std::string run_id, experiment, model_path;
  std::string framework, framework_version, description;
  std::map<std::string, std::string> tags, properties;
  std::vector<std::pair<std::string, std::string>> datasets;
  nlohmann::ordered_json lineage;  // of the run: its code's git properties and snapshot, its data sets, its command
  std::vector<ModelFile> files;

  std::int64_t bytes() const;
  // What a program opens: the one file that was registered, or the folder.
  std::filesystem::path path() const;
};

// Copies a file or folder of the run as the next version; the run's own stay as they are. The version appears complete,
// under one number of its own, however many register at once. run: the run directory. Usage errors: a bad name; nothing
// there by that path (the error lists what is in outputs); a path or link that leads out of the run.
Result<ModelRecord> register_model(const Workspace& workspace, const std::filesystem::path& run,
                                   const ModelRequest& request);

// "NAME" (newest) or "NAME@3". Usage error with the nearest names when unknown.
Result<ModelRecord> find_model(const Workspace& workspace, std::string_view reference);

// All versions of all names, sorted. Damaged records are left out and become a line in `warnings`.
std::vector<ModelRecord> list_models(const Workspace& workspace, std::vector<std::string>* warnings = nullptr);

// Copies the files below `directory` and compares each with its digest. Usage error when something there would be
// replaced and overwrite is false; Failure(corrupt_data) names a file that is not what was registered.
std::vector<std::filesystem::path> download_model(const ModelRecord& model, const std::filesystem::path& directory,
                                                  bool overwrite = false);

// Sets tags and, where there is no value, removes them; others stay. Returns all. Safe with others that do the same.
std::map<std::string, std::string> change_model_tags(const ModelRecord& model,
                                                     const std::map<std::string, std::optional<std::string>>& changes);

// Unfinished runs that name it (model:NAME@V, or a path of its files) in their record.
std::vector<std::string> runs_that_use(const Workspace& workspace, const ModelRecord& model);
// For good. Its number is not given again.
void remove_model(const ModelRecord& model);

nlohmann::ordered_json to_json(const ModelRecord& model);

}  // namespace lockstep
