// From what a user types after --data to a file that can be opened.
#pragma once

#include <filesystem>
#include <string>

#include "lockstep/core/error.h"

namespace lockstep {

// reference, in this order:
//   synthetic:1x28x28:10:60000   made-up data, written once
//   NAME, NAME@3                 a data set registered in the workspace around `directory`
//   FILE                         an HDF5 file, or an archive that an importer takes
//   FOLDER                       a folder that an importer takes
// Made-up data, archives and folders are turned into an HDF5 file once, in the workspace (made in `directory` where
// there is none, with a notice), found again by their contents. On several ranks: call it on one rank of each node.
// Returns the absolute path of an HDF5 file, which Hdf5Dataset::open checks. Usage error when the reference is unknown,
// with the nearest registered names and the command that fetches known data; other errors as the importers'.
Result<std::filesystem::path> resolve_data(const std::string& reference,
                                           const std::filesystem::path& directory = std::filesystem::current_path());

}  // namespace lockstep
