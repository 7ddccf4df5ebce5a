// A file or folder of a run becomes the next version of a model.
#include <unistd.h>

#include <algorithm>
#include <random>

#include "lockstep/core/machine.h"
#include "lockstep/core/model_registry.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/registry_version.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/run_state.h"
#include "lockstep/core/run_store.h"
#include "lockstep/core/sha256.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

bool lies_below(const fs::path& path, const fs::path& directory) {
  const fs::path relative = path.lexically_relative(directory);
  return !relative.empty() && *relative.begin() != "..";
}

// What is in outputs, largest first, and how to name the first of it.
Error nothing_there(const fs::path& run, const ModelRequest& request) {
  std::vector<std::pair<std::uintmax_t, std::string>> files;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(run / contract::kOutputs, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    if (entry->is_regular_file(ignored))
      files.emplace_back(entry->file_size(ignored), entry->path().lexically_relative(run).string());
  }
  std::sort(files.begin(), files.end(), std::greater<>());
  const std::string id = run.filename().string();
  std::string what = request.model_path ? "the run has no " + *request.model_path
                                        : "the run has neither " + request.model_name + " nor outputs/" +
                                              request.model_name + ", and no path of a model was given";
  if (files.empty())
    return {ErrorKind::usage, what + "; its outputs are empty", "run " + id,
            "the program has to save its model below ./outputs"};
  what += "; its outputs hold ";
  for (std::size_t i = 0; i < std::min<std::size_t>(files.size(), 10); ++i)
    what += (i ? ", " : "") + files[i].second + " (" + std::to_string(files[i].first) + " bytes)";
  if (files.size() > 10) what += " and " + std::to_string(files.size() - 10) + " more";
  return {ErrorKind::usage, what, "run " + id,
          "lockstep models register " + id + " " + request.model_name + " " + files.front().second};
}

// The file or folder that is meant, below the run. run: without links.
Result<fs::path> find_source(const fs::path& run, const ModelRequest& request) {
  std::vector<fs::path> candidates;
  if (request.model_path) {
    candidates.push_back(*request.model_path);
  } else {
    candidates = {request.model_name, fs::path(contract::kOutputs) / request.model_name};
  }
  for (const fs::path& candidate : candidates) {
    std::error_code error;
    const fs::path found = fs::canonical(run / candidate, error);
    if (error) continue;
    if (!lies_below(found, run))
      return Error{ErrorKind::usage, candidate.string() + " lies outside of the run", "run " + run.filename().string(),
                   "copy it into the run's outputs first"};
    return run / candidate.lexically_normal();
  }
  return nothing_there(run, request);
}

// Copies one file and takes the digest of the copy: that is what is kept.
ModelFile copy(const fs::path& run, const fs::path& from, const fs::path& to, const std::string& name) {
  std::error_code error;
  const fs::path real = fs::canonical(from, error);
  if (error || !lies_below(real, run) || !fs::is_regular_file(real, error))
    fail(ErrorKind::usage, name + " is no file of the run", "leave it out, or copy what it points to", from.string());
  make_directories(to.parent_path());
  fs::copy_file(real, to, error);
  if (error) fail(ErrorKind::environment, "cannot copy " + real.string() + ": " + error.message());
  fs::permissions(to, fs::perms::owner_read | fs::perms::owner_write, error);
  sync_path(to);
  return {name, static_cast<std::int64_t>(fs::file_size(to)), sha256_file(to)};
}

std::vector<ModelFile> copy_files(const fs::path& run, const fs::path& source, const fs::path& target) {
  if (!fs::is_directory(source)) return {copy(run, source, target / source.filename(), source.filename().string())};
  std::vector<fs::path> names;
  for (const auto& entry : fs::recursive_directory_iterator(source))
    if (!entry.is_directory()) names.push_back(entry.path().lexically_relative(source));
  std::sort(names.begin(), names.end());
  if (names.empty())
    fail(ErrorKind::usage, source.string() + " is an empty folder", "the program has to save its model there");
  std::vector<ModelFile> files;
  for (const fs::path& name : names) {
    const fs::path below = source.filename() / name;
    files.push_back(copy(run, source / name, target / below, below.string()));
  }
  return files;
}

ordered_json lineage_of(const fs::path& run) {
  auto lineage = ordered_json::object();
  std::error_code ignored;
  if (!fs::exists(run / "run.json", ignored)) return lineage;
  const auto record = ordered_json::parse(read_file(run / "run.json", 64 << 20), nullptr, false);
  if (!record.is_object()) return lineage;
  for (const char* key : {"command", "git", "snapshot", "input_datasets", "environment", "lockstep_version"})
    if (const auto found = record.find(key); found != record.end()) lineage[key] = *found;
  return lineage;
}

// Deleted unless the model has been published.
struct Staged {
  fs::path path;
  ~Staged() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

}  // namespace

Result<ModelRecord> register_model(const Workspace& workspace, const fs::path& run_directory,
                                   const ModelRequest& request) try {
  if (!is_valid_name(request.model_name))
    return Error{ErrorKind::usage,
                 "'" + request.model_name + "' cannot name a model",
                 {},
                 "use letters, digits, '.', '_' and '-', at most 128, and begin with a letter or a digit"};
  const fs::path run = fs::canonical(run_directory);
  auto source = find_source(run, request);
  if (!source) return source.error();

  const fs::path models = workspace.root() / "models" / request.model_name;
  make_directories(models);
  std::random_device random;
  const Staged staged{models /
                      (".new-" + host_name() + "-" + std::to_string(::getpid()) + "-" + std::to_string(random()))};
  ModelRecord model;
  model.name = request.model_name;
  model.created = utc_now();
  model.user = user_name();
  model.run_id = run.filename().string();
  model.experiment = run.parent_path().filename().string();
  model.model_path = source->lexically_relative(run).string();
  model.framework = request.model_framework;
  model.framework_version = request.model_framework_version;
  model.description = request.description;
  model.tags = request.tags;
  model.properties = request.properties;
  model.datasets = request.datasets;
  model.lineage = lineage_of(run);
  model.files = copy_files(run, *source, staged.path / "files");
  if (!model.tags.empty()) publish_file(staged.path / "tags.json", to_line(ordered_json(model.tags)) + "\n");

  // The number is taken by the rename: onto a version that is there it fails.
  for (model.version = 1;; ++model.version) {
    for (const auto& entry : fs::directory_iterator(models)) {
      std::string name = entry.path().filename().string();
      if (name.starts_with(".removed-")) name.erase(0, 9);
      if (!name.empty() && name.find_first_not_of("0123456789") == std::string::npos && name.size() < 9)
        model.version = std::max(model.version, std::stoi(name) + 1);
    }
    model.directory = models / std::to_string(model.version);
    publish_file(staged.path / "model.json",
                 to_json(model).dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
    std::error_code error;
    fs::rename(staged.path, model.directory, error);
    if (!error) break;
    if (error != std::errc::directory_not_empty && error != std::errc::file_exists)
      return Error{ErrorKind::environment, "cannot write " + model.directory.string() + ": " + error.message(), {}, {}};
  }
  sync_path(models);
  return model;
} catch (const Failure& failure) {
  return failure.error();
} catch (const fs::filesystem_error& e) {
  return Error{ErrorKind::environment, e.what(), {}, {}};
}

ModelRecord Run::register_model(const ModelRequest& request) const {
  if (state_->offline)
    fail(ErrorKind::usage, "an offline run has no workspace to register a model in", "start it with `lockstep submit`");
  return lockstep::register_model(Workspace::from_config(state_->directory).value(), state_->directory, request)
      .value();
}

}  // namespace lockstep
