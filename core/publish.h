// Write, fsync, rename: the one way a finished file appears.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace lockstep {

// Replaces `path` by `bytes`: temporary file in the same directory, fsync, rename, fsync of the directory. A reader sees
// the old bytes or the new ones, never a mixture. mode: permission bits of a new file.
// Throws Failure(environment) with the path and errno's text; the old file is then unharmed and the temporary one gone.
void publish_file(const std::filesystem::path& path, std::string_view bytes, unsigned mode = 0600);

// fsync of `path` (a file or a directory). Throws Failure(environment).
void sync_path(const std::filesystem::path& path);

// The whole file. Throws Failure(environment) when it cannot be read, Failure(corrupt_data) beyond limit_bytes.
std::string read_file(const std::filesystem::path& path, std::size_t limit_bytes = std::size_t{1} << 30);

}  // namespace lockstep
