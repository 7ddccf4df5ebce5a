// The names under which files are written before they are complete.
#pragma once

#include <filesystem>

namespace lockstep {

// "outputs/model.h5" -> "outputs/.model.h5.HOST.PID", hidden: whose it is tells whether it is still being written.
std::filesystem::path temporary_name(const std::filesystem::path& path);

// Removes the temporary files of `path` that nobody can be writing any more: this process's own, those of processes of
// this host that are gone, and those of other hosts that are a day old. Also "model.h5.PID", as they were called
// before. What cannot be removed stays.
void remove_abandoned(const std::filesystem::path& path);

}  // namespace lockstep
