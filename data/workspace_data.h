// Data sets inside a workspace: imported once, found again by what they were made from.
#pragma once

#include <filesystem>
#include <string>

#include "lockstep/core/dataset_registry.h"
#include "lockstep/core/workspace.h"
#include "lockstep/data/import.h"

namespace lockstep {

// The name and class names that an importer's data set gets when nobody says otherwise: "cifar10"; for IDX files their
// folder's name ("idx" when that cannot name a data set), with the class names of Fashion-MNIST in a folder
// fashion-mnist.
ImportOptions default_import_options(const std::string& importer, const std::filesystem::path& source);

// Imports `source` into `folder`/NAME-<12 digits>.h5; the digits are a digest of the source files' contents, the
// importer and the names, so that the same source gives the same file, and an existing one is taken as it is.
// options.output is not used. Throws Failure as the importers do. Several processes may do this at once.
std::filesystem::path import_once(const std::string& importer, const std::filesystem::path& source,
                                  ImportOptions options, const std::filesystem::path& folder);

// Registers an HDF5 data set file: digest, size and description are filled in. Usage error when it is none.
Result<DatasetRecord> register_dataset_file(const Workspace& workspace, const std::string& name,
                                            const std::filesystem::path& file, const std::string& source);

// Where the workspace keeps what it imported unasked (resolve_data), and what `fetch` has downloaded in part.
std::filesystem::path import_cache(const Workspace& workspace);
std::filesystem::path download_folder(const Workspace& workspace, const std::string& name);

}  // namespace lockstep
