// What a submit would do, for --dry-run.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "lockstep/core/words.h"
#include "lockstep/launchers/submission.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kFilesShown = 20;

std::string file_list(const SnapshotPlan& snapshot) {
  std::string text;
  const std::size_t shown = std::min(kFilesShown, snapshot.files.size());
  for (std::size_t i = 0; i < shown; ++i) {
    const SnapshotFile& file = snapshot.files[i];
    text += "  " + quote_words({file.path.string()});
    text += file.link_target.empty() ? "  " + std::to_string(file.bytes) + " B\n"
                                     : " -> " + quote_words({file.link_target}) + "\n";
  }
  if (shown < snapshot.files.size()) text += "  and " + std::to_string(snapshot.files.size() - shown) + " more\n";
  return text;
}

}  // namespace

std::string describe(const Submission& submission) {
  const SnapshotPlan& snapshot = submission.snapshot;
  std::string text = "experiment    " + submission.estimator.experiment + "\n";
  text += describe(submission.launch);
  if (submission.environment) text += describe(*submission.environment);
  if (submission.source_build) {
    text += "built         in " + submission.source_build->build.directory.string() + "\n";
    for (const BuildStep& step : submission.source_build->build.steps) text += "  " + quote_words(step.argv) + "\n";
  }
  text += "snapshot      " + std::to_string(snapshot.files.size()) +
          (snapshot.files.size() == 1 ? " file, " : " files, ") + std::to_string(snapshot.total_bytes) + " bytes of " +
          snapshot.source.string() +
          (snapshot.ignore_file.empty() ? "" : ", without what " + snapshot.ignore_file + " names") + "\n";
  text += file_list(snapshot);
  if (submission.git)
    text += "revision      " + submission.git->commit + " " + submission.git->branch +
            (submission.git->dirty ? ", with changes" : "") + "\n";
  return text;
}

Json snapshot_record(const SnapshotPlan& snapshot) {
  return {{"source", snapshot.source.string()},
          {"digest", snapshot.digest},
          {"ignore_file", snapshot.ignore_file},
          {"files", snapshot.files.size()},
          {"bytes", snapshot.total_bytes}};
}

Json planned_record(const Submission& submission) {
  Json record{{"command", command_text(submission.estimator)}, {"target", submission.launch.target},
              {"estimator", to_json(submission.estimator)},    {"estimator_as_given", to_json(submission.as_given)},
              {"launch_plan", to_json(submission.launch)},     {"snapshot", snapshot_record(submission.snapshot)}};
  if (submission.environment) record["environment"] = to_json(*submission.environment);
  if (submission.source_build) record["source_build"] = to_json(*submission.source_build);
  if (!submission.estimator.display_name.empty()) record["display_name"] = submission.estimator.display_name;
  if (!submission.estimator.description.empty()) record["description"] = submission.estimator.description;
  if (submission.git) record["git"] = to_json(*submission.git);
  for (const InputPlan& input : submission.launch.inputs) record["input_datasets"].push_back(to_json(input));
  return record;
}

Json to_json(const Submission& submission) {
  Json files = Json::array();
  for (const SnapshotFile& file : submission.snapshot.files) {
    Json entry{{"path", file.path.string()}, {"bytes", file.bytes}};
    if (!file.link_target.empty()) entry["link"] = file.link_target;
    files.push_back(std::move(entry));
  }
  Json json{{"estimator", to_json(submission.estimator)},
            {"estimator_as_given", to_json(submission.as_given)},
            {"command", command_text(submission.estimator)},
            {"launch_plan", to_json(submission.launch)},
            {"snapshot",
             {{"source", submission.snapshot.source.string()},
              {"digest", submission.snapshot.digest},
              {"ignore_file", submission.snapshot.ignore_file},
              {"bytes", submission.snapshot.total_bytes},
              {"files", std::move(files)}}}};
  if (submission.environment) json["environment"] = to_json(*submission.environment);
  if (submission.source_build) json["source_build"] = to_json(*submission.source_build);
  if (submission.git) json["git"] = to_json(*submission.git);
  json["notices"] = submission.notices;
  return json;
}

}  // namespace lockstep
