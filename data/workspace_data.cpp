#include "lockstep/data/workspace_data.h"

#include "lockstep/core/sha256.h"
#include "lockstep/data/describe_dataset.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

// Changes when the importers write other files from the same sources.
constexpr const char* kImporterVersion = "1";

std::string content_key(const std::string& importer, const fs::path& source, const ImportOptions& options) {
  Sha256 key;
  const auto add = [&](const std::string& part) {
    key.update(part.c_str(), part.size() + 1);
  };  // with the NUL: no part runs into the next
  add(kImporterVersion);
  add(importer);
  add(options.name);
  for (const std::string& name : options.class_names) add(name);
  for (const fs::path& file : importer_files(importer, source)) {
    if (!fs::is_regular_file(file)) fail(ErrorKind::usage, "is missing or not a regular file", {}, file.string());
    add(file.filename().string());
    add(sha256_file(file));
  }
  return key.hex().substr(0, 12);
}

}  // namespace

ImportOptions default_import_options(const std::string& importer, const fs::path& source) {
  ImportOptions options;
  options.name = importer;
  if (importer != "idx") return options;
  const fs::path folder = fs::absolute(source).lexically_normal();
  const std::string name = (folder.has_filename() ? folder : folder.parent_path()).filename().string();
  if (is_valid_name(name)) options.name = name;
  if (name == "fashion-mnist") options.class_names = kFashionMnistClasses;
  return options;
}

fs::path import_once(const std::string& importer, const fs::path& source, ImportOptions options,
                     const fs::path& folder) {
  const fs::path output = folder / (options.name + "-" + content_key(importer, source, options) + ".h5");
  if (fs::exists(output)) return output;
  options.output = output;
  options.replace = false;
  try {
    run_importer(importer, source, options);
  } catch (const Failure&) {
    // Another process, perhaps on another node, has finished the same work in between: its file is as good as ours.
    if (!fs::exists(output)) throw;
  }
  return output;
}

Result<DatasetRecord> register_dataset_file(const Workspace& workspace, const std::string& name, const fs::path& file,
                                            const std::string& source) {
  const auto summary = describe_dataset(file);
  if (!summary) return summary.error();
  DatasetRecord record;
  record.name = name;
  record.kind = "hdf5";
  record.path = summary->path;
  record.bytes = summary->bytes;
  record.sha256 = sha256_file(file);
  record.source = source.empty() ? summary->source : source;
  record.description = describe(*summary);
  return register_dataset(workspace, record);
}

// Neither can name a data set: a name begins with a letter or a digit.
fs::path import_cache(const Workspace& workspace) { return workspace.datasets() / ".imported"; }
fs::path download_folder(const Workspace& workspace, const std::string& name) {
  return workspace.datasets() / ".downloads" / name;
}

}  // namespace lockstep
