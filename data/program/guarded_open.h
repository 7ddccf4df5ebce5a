// A first look at a file that may be damaged or hostile, in a process of its own.
#pragma once

#include <filesystem>

namespace lockstep {

// Opens and checks the data set in a child process with bounded memory and time: releases of the HDF5 library are known
// to crash on some damaged files, or to ask for gigabytes, which must not take this program along without a word.
// Throws Failure: what the child found wrong, or usage when it died. Only for programs without MPI and threads.
void look_first(const std::filesystem::path& path);

}  // namespace lockstep
