// What a run keeps: the files below outputs/ and logs/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace lockstep {

struct RunFile {
  std::string name;  // relative to the run directory: "outputs/model/weights.pt"
  std::uintmax_t bytes = 0;
};

// Sorted by name. Links count as what they point to, where that lies in the run; a link that leads out of it is no file
// of the run.
std::vector<RunFile> run_files(const std::filesystem::path& run_directory);

// As Run::download_file, Run::download_files and Run::get_all_logs tell. They return what they wrote.
std::filesystem::path download_file(const std::filesystem::path& run_directory, std::string_view name,
                                    const std::filesystem::path& path);
std::vector<std::filesystem::path> download_files(const std::filesystem::path& run_directory, std::string_view prefix,
                                                  const std::filesystem::path& directory, bool append_prefix);

}  // namespace lockstep
