#include "lockstep/distributed/training/summary.h"

#include <nlohmann/json.hpp>

#include "lockstep/core/error.h"
#include "lockstep/core/publish.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

Json optional(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

}  // namespace

std::string to_json(const TrainingSummary& summary) {
  Json start_up = Json::object();
  double until_first_step = 0;
  for (const auto& [phase, seconds] : summary.start_up) {
    start_up[phase] = seconds;
    until_first_step += seconds;
  }
  start_up["total"] = until_first_step;
  Json memory = Json::array();
  for (const auto& use : summary.memory) {
    Json& of_rank = memory.emplace_back(Json::object());
    for (const auto& [name, bytes] : named_values(use)) of_rank[name] = bytes;
  }
  const Json json = {{"world_size", summary.world_size},
                     {"steps", summary.steps},
                     {"epochs", summary.epochs},
                     {"wall_seconds", summary.wall_seconds},
                     {"samples_per_second", summary.samples_per_second},
                     {"step_seconds", {{"p50", summary.step_seconds_p50}, {"p95", summary.step_seconds_p95}}},
                     {"exposed_comm_seconds", optional(summary.exposed_comm_seconds)},
                     {"train_loss", optional(summary.train_loss)},
                     {"eval_loss", optional(summary.eval_loss)},
                     {"eval_accuracy", optional(summary.eval_accuracy)},
                     {"weights_sha256", summary.weights_sha256},
                     {"communicator", summary.communicator},
                     {"device", summary.device},
                     {"capture",
                      {{"captured", summary.capture.captured},
                       {"reason", summary.capture.reason.empty() ? Json(nullptr) : Json(summary.capture.reason)},
                       {"steps_per_launch", summary.capture.steps_per_launch}}},
                     {"pieces", summary.pieces},
                     {"memory", memory},
                     {"versions", summary.versions},
                     {"resumed_from", summary.resumed_from.empty() ? Json(nullptr) : Json(summary.resumed_from)},
                     {"start_up", start_up}};
  return json.dump(2) + "\n";
}

void write_summary(const std::filesystem::path& path, const TrainingSummary& summary) {
  std::error_code error;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (error) fail(ErrorKind::environment, "the summary's folder cannot be made: " + error.message(), {}, path.string());
  publish_file(path, to_json(summary), 0644);
}

}  // namespace lockstep
