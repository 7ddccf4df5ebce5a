#include "lockstep/core/experiment_record.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "lockstep/core/nearest_names.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_store.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kFile = "experiment.json";

ExperimentRecord read(const fs::path& directory) {
  ExperimentRecord record;
  record.name = directory.filename().string();
  record.archived = is_archived(directory);
  for (const fs::path& run : folders_of(directory, nullptr)) {
    ++record.runs;
    const std::string id = run.filename().string();
    const std::string_view text = seconds_in_id(id);
    std::int64_t seconds = 0;
    std::from_chars(text.data(), text.data() + text.size(), seconds);
    record.newest = std::max(record.newest, seconds);
  }
  return record;
}

}  // namespace

bool is_archived(const fs::path& experiment) try {
  std::error_code ignored;
  if (!fs::exists(experiment / kFile, ignored)) return false;
  const Json json = Json::parse(read_file(experiment / kFile, 1 << 20), nullptr, false);
  return json.is_object() && json.value("archived", false);
} catch (const std::exception&) {
  return false;
}

std::vector<ExperimentRecord> list_experiments(const Workspace& workspace) {
  std::vector<ExperimentRecord> records;
  for (const fs::path& folder : folders_of(workspace.runs(), nullptr)) records.push_back(read(folder));
  std::sort(records.begin(), records.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return records;
}

ExperimentRecord find_experiment(const Workspace& workspace, const std::string& name) {
  std::error_code ignored;
  if (is_valid_name(name) && fs::is_directory(workspace.runs() / name, ignored)) return read(workspace.runs() / name);
  std::vector<std::string> names;
  for (const ExperimentRecord& record : list_experiments(workspace)) names.push_back(record.name);
  fail(ErrorKind::usage,
       "there is no experiment \"" + name + "\" in " + workspace.runs().string() + suggestion(name, names),
       "an experiment begins with its first run: lockstep submit --experiment NAME");
}

void set_archived(const Workspace& workspace, const std::string& name, bool archived) {
  find_experiment(workspace, name);
  const fs::path path = workspace.runs() / name / kFile;
  Json json = Json::object();
  std::error_code ignored;
  if (fs::exists(path, ignored)) json = Json::parse(read_file(path, 1 << 20), nullptr, false);
  if (!json.is_object()) json = Json::object();
  json["format"] = 1;
  json["name"] = name;
  json["archived"] = archived;
  publish_file(path, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace lockstep
