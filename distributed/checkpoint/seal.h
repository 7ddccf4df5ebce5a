// A digest at the end of a finished file, so that damage anywhere is found before a parser sees the bytes.
#pragma once

#include <filesystem>

namespace lockstep {

// The HDF5 library crashes on some damaged files (seen with 1.10.8: one flipped bit, a corrupted heap), so it must not
// be the one to find out. HDF5 ignores what follows its own end of file: h5py, h5dump and others read a sealed file as
// before.
//
// Appends "\nsha256 <64 hexadecimal digits>\n", the digest of all bytes before, and flushes the file to the disk.
// Throws Failure(environment), for example on a full disk.
void seal_file(const std::filesystem::path& path);

enum class Seal { intact, broken, missing };
// Reads the whole file. Throws Failure(usage) when there is none, Failure(environment) when it cannot be read.
Seal check_seal(const std::filesystem::path& path);

}  // namespace lockstep
