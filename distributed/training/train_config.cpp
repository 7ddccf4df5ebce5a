#include "lockstep/distributed/training/train_config.h"

#include "lockstep/core/publish.h"
#include "lockstep/distributed/training/chosen_optimizer.h"

namespace lockstep {
namespace {

constexpr std::int64_t kDefaultBatch = 4;
constexpr std::int64_t kDefaultEpochs = 2;

// What is wrong with values that are sound one by one.
std::optional<Error> contradiction(const TrainConfig& config) {
  if (config.batch_size && config.global_batch_size)
    return Error{ErrorKind::usage,
                 "both --batch-size and --global-batch-size are given",
                 {},
                 "give the samples per rank or those of all ranks together, not both"};
  if (config.accumulate.automatic && !config.global_batch_size)
    return Error{ErrorKind::usage,
                 "--accumulate is auto, and there is no --global-batch-size",
                 {},
                 "say how many samples all ranks together shall see per step: auto decides in how many pieces"};
  if (config.accumulate.automatic && config.sync_batch_norm)
    return Error{
        ErrorKind::usage,
        "--accumulate auto and --sync-batch-norm are both given",
        {},
        "the layers of all ranks wait for each other, so one alone cannot find out what fits: give --accumulate K"};
  if (config.loss_scale && config.precision != "fp16")
    return Error{ErrorKind::usage,
                 "--loss-scale is given, --precision is " + config.precision,
                 {},
                 "only float16 needs a loss scale: leave it out, or give --precision fp16"};
  if (config.capture == "on" && config.device == "cpu")
    return Error{ErrorKind::usage,
                 "--capture is on, --device is cpu",
                 {},
                 "only a GPU's work can be recorded: leave --capture out, which records where it can"};
  if (config.capture == "off" && config.capture_steps > 1)
    return Error{ErrorKind::usage,
                 "--capture is off, --capture-steps is " + std::to_string(config.capture_steps),
                 {},
                 "leave one of them out"};
  if (auto wrong = optimizer_problem(config)) return wrong;
  return {};
}

}  // namespace

std::int64_t TrainConfig::global_micro_batch(int world_size) const {
  return global_batch_size ? *global_batch_size : batch_size.value_or(kDefaultBatch) * world_size;
}

std::int64_t TrainConfig::micro_batch(int world_size) const {
  return (global_micro_batch(world_size) + world_size - 1) / world_size;
}

std::int64_t TrainConfig::log_batch() const {
  return global_batch_size ? *global_batch_size : batch_size.value_or(kDefaultBatch);
}

std::optional<std::int64_t> TrainConfig::epoch_limit() const {
  if (!epochs && steps) return {};
  return epochs.value_or(kDefaultEpochs);
}

Result<TrainConfig> parse_train_config(const std::vector<std::string>& argv) {
  const auto& table = train_options();
  TrainConfig config;
  std::vector<std::string> positional;
  if (auto first = table.parse_command_line(argv, &config, &positional); !first) return first.error();
  if (!positional.empty())
    return Error{ErrorKind::usage, "unexpected word \"" + positional.front() + "\"", "command line",
                 "all settings are options: lockstep-train --help lists them"};
  if (const auto file = config.config; !file.empty()) {
    config = TrainConfig();
    std::string text;
    try {
      text = read_file(file);
    } catch (const Failure& failure) {
      return Error{ErrorKind::usage, failure.error().what, failure.error().where,
                   "--config takes a file of `name = value` lines"};
    }
    if (auto ini = table.parse_ini(text, file.string(), &config); !ini) return ini.error();
    if (auto again = table.parse_command_line(argv, &config, &positional); !again) return again.error();
  }
  if (auto wrong = contradiction(config)) return *wrong;
  return config;
}

}  // namespace lockstep
