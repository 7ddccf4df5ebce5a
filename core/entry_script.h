// What an estimator's entry_script, or the first word of its command, means on this machine.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/core/estimator.h"

namespace lockstep {

// Where programs are looked for besides the source directory.
struct ProgramPlaces {
  std::string path;                // PATH
  std::filesystem::path programs;  // the folder of `lockstep`, with lockstep-train in it
};
ProgramPlaces program_places();  // of this process

// The estimator with entry_script as ranks will use it: relative to the source directory for a file in it, absolute for
// a program found elsewhere. With `command` its first word is looked for in the same way and the rest stays as it is.
// A folder with a CMakeLists.txt and a C++ file are taken as they are: they are built before the ranks start.
// Usage error: nothing of this name (says where it looked, and the nearest file names), a path that leaves the source
// directory, a file that is neither executable nor .py, .sh or C++, a notebook, a folder without CMakeLists.txt.
Result<Estimator> resolve_entry_script(Estimator estimator, const ProgramPlaces& places = program_places());

// .cc, .cpp, .cxx, .c++ or .C
bool is_cpp_source(const std::filesystem::path& file);

}  // namespace lockstep
