#include "lockstep/core/entry_script.h"

#include <unistd.h>

#include <cstdlib>

#include "lockstep/core/nearest_names.h"
#include "lockstep/core/process.h"
#include "lockstep/core/words.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

// Files and folders near the place where `script` was looked for: names relative to the source directory.
std::vector<std::string> names_around(const fs::path& source, const fs::path& script) {
  std::vector<std::string> names;
  for (const fs::path& folder : {fs::path(), script.parent_path()}) {
    if (!folder.empty() && folder.is_absolute()) continue;
    std::error_code error;
    for (fs::directory_iterator entry(source / folder, error), end; !error && entry != end && names.size() < 10000;
         entry.increment(error)) {
      std::error_code ignored;
      if (entry->is_regular_file(ignored)) names.push_back((folder / entry->path().filename()).string());
    }
    if (script.parent_path().empty()) break;
  }
  return names;
}

Error not_found(const std::string& script, const fs::path& source, const ProgramPlaces& places) {
  const bool bare = script.find('/') == std::string::npos;
  std::string hint = "looked for " + (source / script).lexically_normal().string();
  if (bare) hint += ", on PATH (" + places.path + ") and in " + places.programs.string();
  const auto near = nearest_names(script, names_around(source, script));
  for (std::size_t i = 0; i < near.size(); ++i) hint += (i ? ", " : "; did you mean ") + near[i];
  return {ErrorKind::usage, "there is no entry script \"" + script + "\"", "entry_script",
          hint + (near.empty() ? "" : "?")};
}

bool has_interpreter(const fs::path& script) { return script.extension() == ".py" || script.extension() == ".sh"; }

Result<std::string> check_file_in_source(const std::string& script, const fs::path& file) {
  const std::string inside = fs::path(script).lexically_normal().string();
  if (inside.rfind("..", 0) == 0)
    return Error{ErrorKind::usage, "\"" + script + "\" lies outside the source directory", "entry_script",
                 "choose a source_directory that holds it: only that is kept with the run"};
  if (file.extension() == ".ipynb")
    return Error{ErrorKind::usage, "\"" + script + "\" is a notebook, which no rank can run", "entry_script",
                 "make a script of it: jupyter nbconvert --to script " + quote_words({script})};
  if (!has_interpreter(file) && !is_cpp_source(file) && ::access(file.c_str(), X_OK) != 0)
    return Error{ErrorKind::usage, file.lexically_normal().string() + " is not executable, and neither .py nor .sh",
                 "entry_script", "chmod +x " + quote_words({file.lexically_normal().string()})};
  return inside;
}

// A source tree that CMake builds.
Result<std::string> check_folder_in_source(const std::string& script, const fs::path& folder) {
  const std::string inside = fs::path(script).lexically_normal().string();
  std::error_code ignored;
  if (inside.rfind("..", 0) == 0)
    return Error{ErrorKind::usage, "\"" + script + "\" lies outside the source directory", "entry_script",
                 "choose a source_directory that holds it: only that is kept with the run"};
  if (!fs::is_regular_file(folder / "CMakeLists.txt", ignored))
    return Error{ErrorKind::usage, "\"" + script + "\" is a folder without a CMakeLists.txt", "entry_script",
                 "name the program in it, or write a CMakeLists.txt that builds one"};
  return inside == "." || !inside.ends_with('/') ? inside : inside.substr(0, inside.size() - 1);
}

Result<std::string> locate(const std::string& script, const fs::path& source, const ProgramPlaces& places) {
  std::error_code ignored;
  if (script.front() == '/') {
    if (!fs::is_regular_file(script, ignored)) return not_found(script, source, places);
    if (!has_interpreter(script) && ::access(script.c_str(), X_OK) != 0)
      return Error{ErrorKind::usage, script + " is not executable, and neither .py nor .sh", "entry_script",
                   "chmod +x " + quote_words({script})};
    return script;
  }
  const fs::path file = source / script;
  if (fs::is_regular_file(file, ignored)) return check_file_in_source(script, file);
  if (fs::is_directory(file, ignored)) return check_folder_in_source(script, file);
  if (script.find('/') == std::string::npos) {
    if (const auto found = find_program(script, places.path)) return found->string();
    if (const auto found = find_program(script, places.programs.string())) return found->string();
  }
  return not_found(script, source, places);
}

// Only a name without a slash is looked up: a shell takes "./train" from the folder it is in, and so do the ranks.
Result<Estimator> resolve_command(Estimator estimator, const fs::path& source, const ProgramPlaces& places) {
  const auto words = split_words(estimator.command);
  if (!words) return words.error();
  if (words->empty()) return Error{ErrorKind::usage, "command holds no word", "command", {}};
  const std::string& program = words->front();
  if (program.find('$') != std::string::npos || find_program(program, places.path)) return estimator;
  if (program.find('/') != std::string::npos) {
    const auto file = locate(program, source, places);
    if (!file) return Error{file.error().kind, file.error().what, "command", file.error().hint};
    return estimator;
  }
  const auto beside = find_program(program, places.programs.string());
  if (!beside)
    return Error{ErrorKind::usage, "there is no program \"" + program + "\"", "command",
                 "looked on PATH (" + places.path + ") and in " + places.programs.string()};
  // The word as it was typed, quotes and all, gives way to the path.
  const std::size_t begin = estimator.command.find_first_not_of(" \t\n");
  const std::size_t end = estimator.command.find_first_of(" \t\n", begin);
  const std::string rest = end == std::string::npos ? "" : estimator.command.substr(end);
  estimator.command = quote_words({beside->string()}) + rest;
  return estimator;
}

}  // namespace

bool is_cpp_source(const fs::path& file) {
  const std::string ending = file.extension().string();
  for (const char* known : {".cc", ".cpp", ".cxx", ".c++", ".C"})
    if (ending == known) return true;
  return false;
}

ProgramPlaces program_places() {
  std::error_code error;
  const char* path = std::getenv("PATH");
  return {path ? path : "/usr/local/bin:/usr/bin:/bin", fs::read_symlink("/proc/self/exe", error).parent_path()};
}

Result<Estimator> resolve_entry_script(Estimator estimator, const ProgramPlaces& places) {
  std::error_code error;
  const fs::path source = fs::absolute(estimator.source_directory, error);
  if (!estimator.command.empty()) return resolve_command(std::move(estimator), source, places);
  auto script = locate(estimator.entry_script, source, places);
  if (!script) return script.error();
  estimator.entry_script = *script;
  return estimator;
}

}  // namespace lockstep
