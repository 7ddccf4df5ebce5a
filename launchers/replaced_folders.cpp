#include "lockstep/launchers/replaced_folders.h"

#include "lockstep/core/run_contract.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

bool is_real_directory(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(fs::symlink_status(path, ignored));
}

fs::path free_name(const fs::path& wanted) {
  if (!is_there(wanted)) return wanted;
  for (int number = 1;; ++number) {
    const fs::path name = wanted.string() + "." + std::to_string(number);
    if (!is_there(name)) return name;
  }
}

// Moves `from` to `to`, or beside what is there. Folders of the same name become one.
void move_in(const fs::path& from, const fs::path& to) {
  if (!is_real_directory(from) || !is_real_directory(to)) return fs::rename(from, free_name(to));
  std::vector<fs::path> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) names.push_back(entry.path().filename());
  for (const fs::path& name : names) move_in(from / name, to / name);
  fs::remove(from);
}

// "" when there is nothing to say.
std::string recover(const fs::path& run, const fs::path& work, const std::string& folder) try {
  const fs::path replaced = work / folder;
  const fs::path link = fs::path("..") / folder;
  if (!is_there(replaced)) return fs::create_directory_symlink(link, replaced), std::string();
  if (fs::is_symlink(replaced)) {
    const fs::path target = fs::read_symlink(replaced);
    std::error_code dangling;
    if (target == link || fs::equivalent(replaced, run / folder, dangling)) return {};
    return "the program made ./" + folder + " a link to " + target.string() + ": what is there is not kept";
  }
  if (is_real_directory(replaced))
    move_in(replaced, run / folder);
  else
    move_in(replaced, run / folder / folder);
  fs::create_directory_symlink(link, replaced);
  return "the program replaced ./" + folder + ": what it wrote there was moved to the run's " + folder;
} catch (const std::exception& e) {
  return "the program replaced ./" + folder + ", and not all of it could be kept: " + e.what();
}

}  // namespace

std::vector<std::string> recover_replaced_folders(const RunDirectory& run, const fs::path& work) {
  std::vector<std::string> notes;
  if (!is_real_directory(work)) return notes;
  for (const char* folder : {contract::kOutputs, contract::kLogs})
    if (std::string note = recover(run.path(), work, folder); !note.empty()) notes.push_back(std::move(note));
  return notes;
}

}  // namespace lockstep
