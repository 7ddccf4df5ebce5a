// What a program wrote to folders that it put in place of the run's own ./outputs and ./logs.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lockstep/core/run_store.h"

namespace lockstep {

// In `work`, where ranks run, outputs and logs are links to the run's folders. A program may have replaced them ("rm
// -rf outputs; mkdir outputs"): what lies there is moved into the run's folders and the link is put back. Nothing is
// overwritten: a name that is taken becomes NAME.1, NAME.2, … A link of the program's own is left as it is.
// Returns a sentence for people for each folder that was replaced, also where something could not be moved.
std::vector<std::string> recover_replaced_folders(const RunDirectory& run, const std::filesystem::path& work);

}  // namespace lockstep
