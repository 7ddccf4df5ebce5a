#include "lockstep/data/resolve_dataset.h"

#include <algorithm>
#include <cstdlib>
#include <system_error>

#include "lockstep/core/dataset_registry.h"
#include "lockstep/core/nearest_names.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/workspace.h"
#include "lockstep/data/fetch.h"
#include "lockstep/data/synthetic.h"
#include "lockstep/data/workspace_data.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

fs::path make_synthetic(const std::string& reference, const fs::path& directory) {
  const SyntheticSpec spec = parse_synthetic(reference).value();
  std::string name = reference;
  std::replace(name.begin(), name.end(), ':', '-');
  const fs::path file = import_cache(Workspace::find_or_create(directory).value()) / (name + ".h5");
  if (fs::exists(file)) return file;
  try {
    write_synthetic(spec, file, false);
  } catch (const Failure&) {
    if (!fs::exists(file)) throw;  // another process was faster
  }
  return file;
}

fs::path import_from(const std::string& importer, const fs::path& source, const fs::path& directory) {
  const Workspace workspace = Workspace::find_or_create(directory).value();
  return import_once(importer, source, default_import_options(importer, source), import_cache(workspace));
}

// A file or folder as it lies on disk.
fs::path from_path(const fs::path& path, const fs::path& directory) {
  const std::string importer = recognise_importer(path);
  if (!importer.empty()) return import_from(importer, path, directory);
  if (!fs::is_directory(path)) return path;
  fail(ErrorKind::usage, "holds no files that an importer takes",
       "expected CIFAR-10's *.bin files, or IDX files such as train-images-idx3-ubyte", path.string());
}

fs::path from_record(const DatasetRecord& record, const fs::path& directory) {
  std::error_code error;
  const std::string title = "data set " + record.name + "@" + std::to_string(record.version);
  if (!fs::exists(record.path, error)) {
    fail(ErrorKind::usage, title + " is registered, but its file is gone",
         "fetch or import it again, or register its new place", record.path.string());
  }
  if (fs::is_directory(record.path)) return from_path(record.path, directory);
  const auto bytes = static_cast<std::int64_t>(fs::file_size(record.path));
  if (bytes != record.bytes) {
    fail(
        ErrorKind::corrupt_data,
        title + " is " + std::to_string(bytes) + " bytes long, but was registered with " + std::to_string(record.bytes),
        "`lockstep data verify " + record.name + "` tells more; register the file again if the change was meant",
        record.path.string());
  }
  return record.kind == "hdf5" ? record.path : from_path(record.path, directory);
}

bool inside_a_run() {
  const char* run = std::getenv(contract::kRunDir);
  return run != nullptr && *run != '\0';
}

Error unknown(const std::string& reference, const Workspace* workspace, const fs::path& directory) {
  std::vector<std::string> names;
  for (const DatasetRecord& record : workspace != nullptr ? list_datasets(*workspace) : std::vector<DatasetRecord>()) {
    if (names.empty() || names.back() != record.name) names.push_back(record.name);
  }
  const std::string name = reference.substr(0, reference.find('@'));
  const std::vector<std::string> fetchable = published_names();
  std::string hint =
      "`lockstep data list` shows what is registered; `lockstep data fetch NAME` gets " + fetchable.front();
  for (std::size_t i = 1; i < fetchable.size(); ++i) hint += (i + 1 == fetchable.size() ? " or " : ", ") + fetchable[i];
  if (std::find(fetchable.begin(), fetchable.end(), name) != fetchable.end())
    hint = "get it with: lockstep data fetch " + name;
  else if (inside_a_run() && fs::path(reference).is_relative())
    hint = "ranks run in a copy of the source directory: give an absolute path or a registered name (" + hint + ")";
  std::string what = "there is no data set, file or folder '" + reference + "'";
  if (fs::path(reference).is_relative()) what += " in " + fs::absolute(directory).lexically_normal().string();
  if (!names.empty()) what += suggestion(name, names);
  return Error{ErrorKind::usage, what, {}, hint};
}

}  // namespace

Result<fs::path> resolve_data(const std::string& reference, const fs::path& directory) try {
  if (is_synthetic(reference)) return make_synthetic(reference, directory);
  const auto workspace = Workspace::from_config(directory);
  const bool may_be_name = is_valid_name(reference.substr(0, reference.find('@')));
  if (workspace && may_be_name) {
    const auto record = find_dataset(*workspace, reference);
    if (record) return from_record(*record, directory);
    // NAME@9 of a known NAME: a wrong version, not a file.
    if (reference.find('@') != std::string::npos && find_dataset(*workspace, reference.substr(0, reference.find('@'))))
      return record.error();
  }
  std::error_code error;
  const fs::path path = fs::absolute(directory / reference).lexically_normal();
  if (!reference.empty() && fs::exists(path, error)) return from_path(path, directory);
  return unknown(reference, workspace ? &*workspace : nullptr, directory);
} catch (const Failure& failure) {
  return failure.error();
}

}  // namespace lockstep
