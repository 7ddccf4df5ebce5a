// Digests of files and of parts of files, in constant memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace lockstep {

// SHA-256 of bytes [offset, offset + bytes), as 64 lower-case hexadecimal digits. Throws Failure(environment) when the
// file cannot be read, Failure(corrupt_data) when it ends before.
std::string sha256_of_range(const std::filesystem::path& path, std::int64_t offset, std::int64_t bytes);

// MD5 of a whole file, as 32 lower-case hexadecimal digits: only to compare with what publishers of data sets print.
std::string md5_file(const std::filesystem::path& path);

}  // namespace lockstep
