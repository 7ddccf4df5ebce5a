// An estimator as JSON, kept in run.json.
#include <nlohmann/json.hpp>

#include "lockstep/core/estimator.h"
#include "lockstep/core/words.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

// As pairs, not as an object: parameters are ordered and may come twice.
Json pairs_to_json(const KeyValues& pairs) {
  Json json = Json::array();
  for (const auto& [name, value] : pairs) json.push_back({name, value});
  return json;
}

KeyValues without_secrets(KeyValues pairs) {
  for (auto& [name, value] : pairs)
    if (is_secret_name(name)) value = kRedacted;
  return pairs;
}

}  // namespace

Json to_json(const Estimator& estimator) {
  Json json;
  json["source_directory"] = estimator.source_directory.string();
  if (!estimator.entry_script.empty()) json["entry_script"] = estimator.entry_script;
  if (!estimator.command.empty()) json["command"] = estimator.command;
  json["script_params"] = pairs_to_json(estimator.script_params);
  json["experiment"] = estimator.experiment;
  json["compute_target"] = estimator.compute_target;
  json["node_count"] = estimator.node_count;
  json["process_count_per_node"] = estimator.process_count_per_node;
  json["distributed_training"] = estimator.distributed_training;
  json["environment_variables"] = pairs_to_json(without_secrets(estimator.environment_variables));
  json["use_gpu"] = estimator.use_gpu;
  if (estimator.max_run_duration_seconds) json["max_run_duration_seconds"] = *estimator.max_run_duration_seconds;
  json["max_restarts"] = estimator.max_restarts;
  json["tags"] = pairs_to_json(estimator.tags);
  if (!estimator.resume_from.empty()) json["resume_from"] = estimator.resume_from;
  json["snapshot_limit_bytes"] = estimator.snapshot_limit_bytes;
  json["snapshot_limit_files"] = estimator.snapshot_limit_files;
  return json;
}

Estimator estimator_from_json(const Json& json) try {
  Estimator estimator;
  estimator.source_directory = json.value("source_directory", estimator.source_directory.string());
  estimator.entry_script = json.value("entry_script", "");
  estimator.command = json.value("command", "");
  estimator.script_params = json.value("script_params", KeyValues{});
  estimator.experiment = json.value("experiment", estimator.experiment);
  estimator.compute_target = json.value("compute_target", estimator.compute_target);
  estimator.node_count = json.value("node_count", estimator.node_count);
  estimator.process_count_per_node = json.value("process_count_per_node", estimator.process_count_per_node);
  estimator.distributed_training = json.value("distributed_training", "");
  estimator.environment_variables = json.value("environment_variables", KeyValues{});
  estimator.use_gpu = json.value("use_gpu", false);
  if (const auto seconds = json.find("max_run_duration_seconds"); seconds != json.end())
    estimator.max_run_duration_seconds = seconds->get<std::int64_t>();
  estimator.max_restarts = json.value("max_restarts", 0);
  estimator.tags = json.value("tags", KeyValues{});
  estimator.resume_from = json.value("resume_from", "");
  estimator.snapshot_limit_bytes = json.value("snapshot_limit_bytes", estimator.snapshot_limit_bytes);
  estimator.snapshot_limit_files = json.value("snapshot_limit_files", estimator.snapshot_limit_files);
  return estimator;
} catch (const Json::exception& e) {
  fail(ErrorKind::corrupt_data, std::string("not an estimator: ") + e.what());
}

}  // namespace lockstep
