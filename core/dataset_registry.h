// Registered data sets: datasets/NAME/VERSION.json in the workspace, versions counted from 1, never changed once
// written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/core/workspace.h"

namespace lockstep {

struct DatasetRecord {
  std::string name;
  int version = 0;             // given by register_dataset
  std::filesystem::path path;  // absolute (made so from the current directory); a file or a folder
  std::string kind = {};       // "hdf5" (a file that lockstep-train takes), "file" or "folder"
  std::string sha256;          // of the contents (dataset_content.h); empty when it was not computed
  std::int64_t bytes = 0;
  std::int64_t files = 1;
  std::string source;       // where it came from: an address or a path
  std::string description;  // "60,000 training and 10,000 test images of 1x28x28, 10 classes"
  std::string created;      // UTC, ISO 8601; empty: now
  std::map<std::string, std::string> tags = {};
};

// Claims the next version (mkdir-like: exclusive creation) and writes the record. The same path and digest as the
// newest version: returns that one, nothing is written. Usage error for a name that is not valid, environment error
// when the workspace cannot be written.
Result<DatasetRecord> register_dataset(const Workspace& workspace, DatasetRecord record);

// Takes a version's record away; the data itself stays. Usage error when there is none.
Result<DatasetRecord> remove_dataset(const Workspace& workspace, const std::string& name, int version);

// "NAME" (newest) or "NAME@3". Usage error with the nearest names when unknown.
Result<DatasetRecord> find_dataset(const Workspace& workspace, std::string_view reference);

// All versions of all names, sorted. Damaged records are left out and become a line in `warnings`.
std::vector<DatasetRecord> list_datasets(const Workspace& workspace, std::vector<std::string>* warnings = nullptr);

}  // namespace lockstep
