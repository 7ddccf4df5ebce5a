// Write, fsync, rename: the one way a finished file appears.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace lockstep {

// Replaces `path` by `bytes`: temporary file in the same directory, fsync, rename, fsync of the directory. A reader
// sees the old bytes or the new ones, never a mixture. mode: permission bits of a new file; a replaced file keeps its
// own. Throws Failure(environment) with the path and errno's text; the old file is then unharmed and the temporary one
// gone. (Only a failing fsync of the directory leaves the new file in place: complete, but not yet safe from a power
// cut.)
void publish_file(const std::filesystem::path& path, std::string_view bytes, unsigned mode = 0600);

// The same, but never replaces: false when something has that name already, which is then left as it is. Of several
// processes that publish one name at once, on any hosts of a shared file system, exactly one gets true.
[[nodiscard]] bool publish_new_file(const std::filesystem::path& path, std::string_view bytes, unsigned mode = 0600);

// mkdir -p; the directories that it makes get mode 0700. Throws Failure(environment).
void make_directories(const std::filesystem::path& directory);

// fsync of `path` (a file or a directory). Throws Failure(environment).
void sync_path(const std::filesystem::path& path);

// The whole file. Throws Failure(environment) when it cannot be read, Failure(corrupt_data) beyond limit_bytes.
std::string read_file(const std::filesystem::path& path, std::size_t limit_bytes = std::size_t{1} << 30);

}  // namespace lockstep
