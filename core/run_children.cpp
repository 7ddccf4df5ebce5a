// Runs below runs. PARENT/children/ID, an empty file, is the way down; "parent" in run.json the way up.
#include <algorithm>

#include "lockstep/core/interactive_run.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_state.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr const char* kChildren = "children";

void add_children(const fs::path& directory, bool recursive, std::vector<RunDirectory>& found) {
  std::vector<fs::path> marks;
  std::error_code error;
  for (fs::directory_iterator entry(directory / kChildren, error), end; !error && entry != end; entry.increment(error))
    if (!entry->path().filename().string().starts_with(".")) marks.push_back(entry->path().filename());
  std::sort(marks.begin(), marks.end());
  for (const fs::path& id : marks) {
    const auto child = RunDirectory::open(directory.parent_path() / id);
    if (!child) continue;  // removed meanwhile
    found.push_back(*child);
    if (recursive) add_children(child->path(), recursive, found);
  }
}

}  // namespace

Run Run::child_run(std::string_view name) {
  if (state_->offline) return none();
  const Workspace workspace = Workspace::from_config(state_->directory).value();
  Run child = start_interactive_run(workspace, state_->experiment, name, state_->id);
  make_directories(state_->directory / kChildren);
  publish_file(state_->directory / kChildren / child.id(), "");
  return child;
}

std::vector<Run> Run::get_children(bool recursive) const {
  std::vector<RunDirectory> found;
  if (!state_->offline) add_children(state_->directory, recursive, found);
  std::vector<Run> children;
  for (const RunDirectory& directory : found) children.push_back(open(directory));
  return children;
}

std::optional<Run> Run::parent() const {
  if (state_->offline) return {};
  const std::string id = RunDirectory::open(state_->directory).value().record().value("parent", "");
  if (id.empty()) return {};
  const auto directory = RunDirectory::open(state_->directory.parent_path() / id);
  if (!directory) return {};
  return open(*directory);
}

}  // namespace lockstep
