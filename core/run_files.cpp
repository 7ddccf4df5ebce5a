#include "lockstep/core/run_files.h"

#include <algorithm>

#include "lockstep/core/error.h"
#include "lockstep/core/nearest_names.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/run_state.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

bool lies_in(const fs::path& path, const fs::path& directory) {
  const auto [end, ignored] = std::mismatch(directory.begin(), directory.end(), path.begin(), path.end());
  return end == directory.end();
}

// A regular file, or a link to one that does not lead out of the run.
bool is_file_of(const fs::directory_entry& entry, const fs::path& run) {
  std::error_code error;
  if (!entry.is_regular_file(error)) return false;
  if (!entry.is_symlink(error)) return true;
  const fs::path target = fs::canonical(entry.path(), error);
  return !error && lies_in(target, run);
}

// Complete or not at all, and never through a link that lies there.
void copy_to(const fs::path& from, const fs::path& to) {
  make_directories(fs::absolute(to).parent_path());
  const fs::path next = to.string() + ".part";
  std::error_code error;
  fs::remove(next, error);
  fs::copy_file(from, next, fs::copy_options::overwrite_existing, error);
  if (!error) fs::rename(next, to, error);
  if (!error) return;
  const std::string reason = error.message();
  fs::remove(next, error);
  fail(ErrorKind::environment, "cannot copy " + from.string() + " to " + to.string() + ": " + reason);
}

std::vector<std::string> names_of(const std::vector<RunFile>& files) {
  std::vector<std::string> names;
  for (const RunFile& file : files) names.push_back(file.name);
  return names;
}

// A place below `directory`: relative, without "..".
fs::path safe_name(std::string_view name) {
  const fs::path path = fs::path(name).lexically_normal();
  if (path.empty() || path.is_absolute() || *path.begin() == "..")
    fail(ErrorKind::usage, "\"" + std::string(name) + "\" is no place in a run's outputs",
         "give a relative path without \"..\", for example model/weights.pt");
  return path;
}

}  // namespace

std::vector<RunFile> run_files(const fs::path& run_directory) {
  std::vector<RunFile> files;
  std::error_code error;
  const fs::path run = fs::canonical(run_directory, error);
  for (const char* folder : {contract::kOutputs, contract::kLogs}) {
    for (fs::recursive_directory_iterator
             entry(run_directory / folder, fs::directory_options::skip_permission_denied, error),
         end;
         !error && entry != end; entry.increment(error)) {
      std::error_code ignored;
      if (!is_file_of(*entry, run)) continue;
      const std::uintmax_t bytes = entry->file_size(ignored);
      files.push_back({entry->path().lexically_relative(run_directory).string(), ignored ? 0 : bytes});
    }
  }
  std::sort(files.begin(), files.end(), [](const RunFile& a, const RunFile& b) { return a.name < b.name; });
  return files;
}

fs::path download_file(const fs::path& run_directory, std::string_view name, const fs::path& path) {
  const std::vector<std::string> names = names_of(run_files(run_directory));
  const std::string wanted = fs::path(name).lexically_normal().string();
  if (!std::binary_search(names.begin(), names.end(), wanted))
    fail(ErrorKind::usage, "the run has no file \"" + std::string(name) + "\"" + suggestion(name, names),
         names.empty() ? "it has kept none: files that a job writes below ./outputs and ./logs are kept" : "");
  const fs::path file_name = fs::path(wanted).filename();
  std::error_code ignored;
  const bool is_folder = path.empty() || path.filename().empty() || fs::is_directory(path, ignored);
  const fs::path to = is_folder ? path / file_name : path;
  copy_to(run_directory / wanted, to);
  return to;
}

std::vector<fs::path> download_files(const fs::path& run_directory, std::string_view prefix, const fs::path& directory,
                                     bool append_prefix) {
  std::vector<fs::path> written;
  for (const RunFile& file : run_files(run_directory)) {
    if (!std::string_view(file.name).starts_with(prefix)) continue;
    std::string_view rest = file.name;
    if (!append_prefix) {
      // Up to the prefix' last slash: "outputs/mo" of outputs/model/a leaves model/a.
      const std::size_t folder = prefix.ends_with('/') ? prefix.size() : prefix.rfind('/') + 1;
      rest.remove_prefix(rest.size() > prefix.size() && rest[prefix.size()] == '/' ? prefix.size() + 1 : folder);
    }
    const fs::path to = directory / rest;
    copy_to(run_directory / file.name, to);
    written.push_back(to);
  }
  return written;
}

std::vector<std::string> Run::get_file_names() const { return names_of(run_files(state_->directory)); }

void Run::download_file(std::string_view name, const fs::path& path) const {
  lockstep::download_file(state_->directory, name, path);
}

void Run::download_files(std::string_view prefix, const fs::path& directory, bool append_prefix) const {
  lockstep::download_files(state_->directory, prefix, directory, append_prefix);
}

std::vector<fs::path> Run::get_all_logs(const fs::path& directory) const {
  std::vector<fs::path> logs;
  for (const RunFile& file : run_files(state_->directory)) {
    // Event files are metrics; what people read ends in .txt or .log, or has no such name at all.
    if (!file.name.starts_with("logs/") || file.name.find("events.out.tfevents.") != std::string::npos) continue;
    const fs::path to = directory / file.name.substr(5);
    copy_to(state_->directory / file.name, to);
    logs.push_back(to);
  }
  return logs;
}

void Run::upload_file(std::string_view name, const fs::path& path) {
  if (!state_->writes) return;
  fs::path place = safe_name(name);
  if (*place.begin() == contract::kOutputs) place = safe_name(place.lexically_relative(contract::kOutputs).string());
  const fs::path outputs = state_->logs ? outputs_directory() : state_->directory / contract::kOutputs;
  std::error_code error;
  if (fs::is_regular_file(path, error)) return copy_to(path, outputs / place);
  if (!fs::is_directory(path, error))
    fail(ErrorKind::usage, path.string() + " is neither a file nor a directory that can be read");
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path))
    if (entry.is_regular_file(error)) copy_to(entry.path(), outputs / place / entry.path().lexically_relative(path));
}

}  // namespace lockstep
