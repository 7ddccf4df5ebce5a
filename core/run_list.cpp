// Runs of a workspace: all of them, or the one that is meant.
#include <algorithm>
#include <optional>

#include "lockstep/core/nearest_names.h"
#include "lockstep/core/run_store.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> run_folders(const Workspace& workspace, std::string_view experiment,
                                  std::vector<std::string>* warnings) {
  if (!experiment.empty()) return folders_of(workspace.runs() / experiment, warnings);
  std::vector<fs::path> runs;
  for (const fs::path& folder : folders_of(workspace.runs(), warnings)) {
    const auto more = folders_of(folder, warnings);
    runs.insert(runs.end(), more.begin(), more.end());
  }
  return runs;
}

double submitted_at(const RunDirectory& run) try { return run.summary().submitted; } catch (const std::exception&) {
  return 0;  // damaged: last among its second
}

Result<RunDirectory> latest(const Workspace& workspace) {
  // Ids are precise to a second; among the newest the records decide.
  std::vector<fs::path> runs = run_folders(workspace, {}, nullptr);
  std::erase_if(runs, [](const fs::path& run) {
    std::error_code ignored;
    return !fs::exists(run / "run.json", ignored);
  });
  const auto newest = std::max_element(runs.begin(), runs.end(), [](const fs::path& a, const fs::path& b) {
    return seconds_in_id(a.filename().string()) < seconds_in_id(b.filename().string());
  });
  if (newest == runs.end())
    return Error{
        ErrorKind::usage, "there are no runs in " + workspace.runs().string(), {}, "lockstep submit starts one"};
  const std::string seconds(seconds_in_id(newest->filename().string()));
  std::optional<RunDirectory> best;
  double submitted = -1;
  for (const fs::path& path : runs) {
    if (seconds_in_id(path.filename().string()) != seconds) continue;
    RunDirectory run = RunDirectory::open(path).value();
    const double time = submitted_at(run);
    if (time <= submitted) continue;
    submitted = time;
    best = std::move(run);
  }
  return *best;
}

Error ambiguous(std::string_view reference, std::vector<std::string> ids) {
  std::sort(ids.begin(), ids.end(), [](const auto& a, const auto& b) { return seconds_in_id(a) > seconds_in_id(b); });
  std::string list;
  for (std::size_t i = 0; i < std::min<std::size_t>(ids.size(), 5); ++i) list += (i ? ", " : "") + ids[i];
  if (ids.size() > 5) list += " and " + std::to_string(ids.size() - 5) + " more";
  return Error{ErrorKind::usage,
               "\"" + std::string(reference) + "\" is part of " + std::to_string(ids.size()) + " run ids: " + list,
               {},
               "give more of the id, or \"latest\""};
}

}  // namespace

std::vector<fs::path> folders_of(const fs::path& path, std::vector<std::string>* warnings) {
  std::vector<fs::path> folders;
  std::error_code error;
  if (!fs::exists(path, error)) return folders;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    const bool hidden = entry->path().filename().native().front() == '.';  // runs that are still being made, the index
    if (!hidden && entry->is_directory(ignored)) folders.push_back(entry->path());
  }
  if (error && warnings) warnings->push_back(path.string() + ": " + error.message());
  return folders;
}

std::string_view seconds_in_id(std::string_view id) {
  id = id.substr(0, id.rfind('_'));
  return id.substr(id.rfind('_') + 1);
}

Result<RunDirectory> find_run(const Workspace& workspace, std::string_view reference) {
  if (reference == "latest") return latest(workspace);
  std::vector<std::string> all, matching;
  fs::path match;
  for (const fs::path& path : run_folders(workspace, {}, nullptr)) {
    const std::string id = path.filename().string();
    if (id == reference) return RunDirectory::open(path);
    all.push_back(id);
    if (reference.empty() || id.find(reference) == std::string::npos) continue;
    matching.push_back(id);
    match = path;
  }
  if (matching.size() == 1) return RunDirectory::open(match);
  if (!matching.empty()) return ambiguous(reference, std::move(matching));
  const std::vector<std::string> near = nearest_names(reference, all);
  std::string hint = "lockstep runs lists them";
  for (std::size_t i = 0; i < near.size(); ++i) hint = (i ? hint + ", " : "did you mean ") + near[i];
  return Error{
      ErrorKind::usage, "there is no run \"" + std::string(reference) + "\" in " + workspace.runs().string(), {}, hint};
}

}  // namespace lockstep
