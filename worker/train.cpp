#include "train.h"

#include <ATen/Context.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>

#include "load_weights.h"
#include "lockstep/core/nearest_names.h"
#include "lockstep/distributed/layers/sync_batch_norm.h"
#include "lockstep/distributed/training/progress_line.h"
#include "lockstep/distributed/training/train_loop.h"
#include "lockstep/distributed/training/training_state.h"
#include "lockstep/models/registry.h"
#include "open_data.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kTestBatch = 64;  // samples per rank; the result does not depend on it, the speed does

MakeNorm synchronised_norm(Communicator& communicator) {
  return [&communicator](std::int64_t channels) -> Norm {
    const auto layer = std::make_shared<SyncBatchNorm2dImpl>(channels, communicator);
    return {layer, [layer](const at::Tensor& x) { return layer->forward(x); }};
  };
}

std::shared_ptr<Model> build_model(const Session& session, const TrainConfig& config, const ModelInput& input,
                                   Communicator* of_layers) {
  const auto names = model_names();
  if (std::find(names.begin(), names.end(), config.model) == names.end())
    fail(ErrorKind::usage, "there is no model \"" + config.model + "\"" + suggestion(config.model, names), {},
         "--model");
  at::globalContext().setDeterministicAlgorithms(config.deterministic, /*warn_only=*/false);
  // The same on every rank, and the values that Python's module gets after torch.manual_seed(seed).
  at::manual_seed(config.seed);
  std::shared_ptr<Model> model;
  try {
    model = make_model(config.model, input,
                       {.make_norm = of_layers ? synchronised_norm(*of_layers) : MakeNorm(),
                        .checkpoint_blocks = config.checkpoint_activations});
  } catch (const std::invalid_argument& e) {
    fail(ErrorKind::usage, e.what(), {}, "--model " + config.model);
  }
  // DataParallel gives rank 0's values to all: hundreds of ranks need not read and hash one file.
  if (!config.weights.empty() && session.rank() == 0) load_weights(*model, config.weights);
  model->to(session.device());
  // Random layers draw differently on each rank: they see different samples.
  at::manual_seed(rank_seed(config.seed, session.rank(), 0));
  return model;
}

std::unique_ptr<BatchSource> train_batches(const Session& session, const TrainConfig& config,
                                           const TrainingData& data) {
  return data.train_batches({.rank = session.rank(),
                             .world_size = session.world_size(),
                             .global_batch_size = config.global_micro_batch(session.world_size()),
                             .seed = config.seed,
                             .shuffle = !config.no_shuffle,
                             .normalize = config.normalize == "mean-std"});
}

std::unique_ptr<BatchSource> test_batches(const Session& session, const TrainConfig& config, const TrainingData& data) {
  return data.test_batches({.rank = session.rank(),
                            .world_size = session.world_size(),
                            .global_batch_size = kTestBatch * session.world_size(),
                            .shuffle = false,
                            .normalize = config.normalize == "mean-std",
                            .reader_threads = 0});
}

// What a checkpoint must have been made with so that the training can go on with the samples it has not seen.
std::map<std::string, std::string> identity(const TrainConfig& config, const TrainingData& data) {
  return {{"--model", config.model},
          {"--data", data.name() + " (" + grouped(data.train_count()) + " samples of " + data.sample_text() + ", " +
                         data.answer_text() + ")"},
          {"--normalize", config.normalize},
          {"--no-shuffle", config.no_shuffle ? "true" : "false"},
          {"--seed", std::to_string(config.seed)},
          {"--optimizer", config.optimizer}};
}

ModelFacts facts(const TrainConfig& config, const TrainingData& data) {
  ModelFacts facts = data.facts();
  facts.model = config.model;
  facts.normalize = config.normalize;
  return facts;
}

void say_what_runs(Session& session, const TrainConfig& config, const TrainingData& data, const Model& model) {
  if (session.rank() != 0) return;
  std::int64_t count = 0;
  for (const auto& parameter : model.parameters()) count += parameter.numel();
  std::printf("%s (%s parameters) on %s (%s training and %s test samples of %s)\n", config.model.c_str(),
              grouped(count).c_str(), data.name().c_str(), grouped(data.train_count()).c_str(),
              grouped(data.test_count()).c_str(), data.sample_text().c_str());
  const std::string& why = session.communicator().choice().why;
  const std::string reason = session.world_size() > 1 && !why.empty() ? " (" + why + ")" : "";
  std::printf("%d rank%s on %d node%s, communicator %s%s, device %s\n", session.world_size(),
              session.world_size() == 1 ? "" : "s", session.node_count(), session.node_count() == 1 ? "" : "s",
              std::string(session.communicator().name()).c_str(), reason.c_str(), session.device().str().c_str());
}

// Made before anything else: a place that cannot be written shall cost no waiting. By rank 0, the only one that writes.
void make_directories_of(Session& session, const TrainConfig& config) {
  const auto make = [](const fs::path& chosen, const char* option, const std::function<void()>& how) {
    try {
      how();
    } catch (const Failure& failure) {
      Error error = failure.error();
      error.what = std::string(option) + (chosen.empty() ? "" : " " + chosen.string()) + ": " + error.what;
      throw Failure(std::move(error));
    }
  };
  Run& run = session.run();
  session.agree([&] {
    if (!config.outputs.empty()) run.set_outputs_directory(config.outputs);
    if (!config.logs.empty()) run.set_logs_directory(config.logs);
    if (session.rank() != 0) return;
    make(config.outputs, "--outputs", [&] { (void)run.outputs_directory(); });
    make(config.logs, "--logs", [&] { (void)run.logs_directory(); });
  });
}

}  // namespace

std::string train_help() {
  const TrainConfig defaults;
  std::string text = train_options().help(&defaults, "[mpirun -n RANKS] lockstep-train [OPTIONS]");
  text += "\nModels:";
  for (const auto& name : model_names()) text += " " + name;
  return text + "\n";
}

SessionOptions session_options(const TrainConfig& config) {
  return {.device = config.device, .threads = config.threads, .communicator = {.backend = config.communicator}};
}

void train(Session& session, const TrainConfig& config) {
  make_directories_of(session, config);
  const auto opened = open_data(session, config.data);
  const TrainingData& data = *opened;
  const auto train_source = train_batches(session, config, data), test_source = test_batches(session, config, data);
  session.start_up().mark("data");
  session.communicator();
  const auto of_layers = config.sync_batch_norm ? session.another_communicator() : nullptr;
  const auto model = session.agree([&] { return build_model(session, config, data.model_input(), of_layers.get()); });
  say_what_runs(session, config, data, *model);
  TrainLoop loop(session, config,
                 {.module = *model,
                  .forward = [&](const at::Tensor& input) { return model->forward(input); },
                  .train = *train_source,
                  .test = *test_source,
                  .identity = identity(config, data),
                  .facts = facts(config, data)});
  session.start_up().mark("model");
  loop.run();
}

}  // namespace lockstep
