// A training step on a GPU as lockstep-train makes it: captured, or operator by operator.
//
//   [mpirun -n N] gpu_step WORKLOAD BATCH [--device cuda] [--capture on|off] [--capture-steps 1] [--precision
//   fp32|bf16]
//   [--steps 200] [--warm-up 20] [--weights FILE]
//
// Prints one JSON line: seconds per step over all timed steps, which begin and end with nothing under way. --weights:
// all parameters and buffers at the end, float32, one after the other. --device cpu: the same without a GPU, to try it
// out.
#include <torch/nn/module.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "lockstep/core/error.h"
#include "lockstep/distributed/optimizer/fused_sgd.h"
#include "lockstep/distributed/session/run_main.h"
#include "lockstep/distributed/session/session.h"
#include "lockstep/distributed/training/step_runner.h"
#include "workload.h"

namespace {

struct Settings {
  std::string workload;
  std::int64_t batch = 0;
  std::map<std::string, std::string> values = {{"--device", "cuda"},    {"--capture", "on"}, {"--capture-steps", "1"},
                                               {"--precision", "fp32"}, {"--steps", "200"},  {"--warm-up", "20"},
                                               {"--weights", ""}};
  const std::string& operator[](const std::string& name) const { return values.at(name); }
  std::int64_t number(const std::string& name) const { return std::stoll(values.at(name)); }
};

Settings parse(int argc, char** argv) {
  if (argc < 3) lockstep::fail(lockstep::ErrorKind::usage, "gpu_step needs a workload and a batch size");
  Settings settings;
  settings.workload = argv[1];
  settings.batch = std::stoll(argv[2]);
  for (int i = 3; i + 1 < argc; i += 2) {
    const auto found = settings.values.find(argv[i]);
    if (found == settings.values.end())
      lockstep::fail(lockstep::ErrorKind::usage, std::string("there is no option ") + argv[i]);
    found->second = argv[i + 1];
  }
  return settings;
}

// A workload's batches in turn, in an epoch without end.
class TurningBatches : public lockstep::BatchSource {
 public:
  TurningBatches(const std::vector<LabelledBatch>& batches, std::int64_t batch, int world_size)
      : batches_(batches), batch_(batch), global_batch_(batch * world_size) {}
  std::int64_t sample_count() const override { return std::numeric_limits<std::int64_t>::max() / 2; }
  std::int64_t class_count() const override { return 0; }
  std::int64_t global_batch_size() const override { return global_batch_; }
  std::int64_t steps_per_epoch() const override { return sample_count() / global_batch_ + 1; }
  void seek(lockstep::SamplePosition position) override { position_ = position; }
  lockstep::SamplePosition position() const override { return position_; }
  bool next(lockstep::Batch& batch) override {
    const LabelledBatch& found = batches_[next_++ % batches_.size()];
    batch = {found.input, found.target, batch_, global_batch_};
    position_.consumed += global_batch_;
    return true;
  }

 private:
  const std::vector<LabelledBatch>& batches_;
  const std::int64_t batch_, global_batch_;
  lockstep::SamplePosition position_;
  std::size_t next_ = 0;
};

void write_weights(const std::string& path, const torch::nn::Module& module) {
  std::ofstream file(path, std::ios::binary);
  auto tensors = module.parameters();
  for (const auto& buffer : module.buffers()) tensors.push_back(buffer);
  for (const auto& tensor : tensors) {
    const at::Tensor values = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
    file.write(static_cast<const char*>(values.const_data_ptr()), static_cast<std::streamsize>(values.nbytes()));
  }
  if (!file.flush()) lockstep::fail(lockstep::ErrorKind::environment, "cannot write " + path);
}

void measure(lockstep::Session& session, const Settings& settings) {
  const Workload workload = make_workload(settings.workload, settings.batch, session.rank());
  workload.module->to(session.device());
  lockstep::DataParallel model(*workload.module, session.communicator());
  lockstep::FusedSgd optimizer(model, {.learning_rate = kLearningRate, .momentum = kMomentum});
  TurningBatches source(workload.batches, settings.batch, session.world_size());
  lockstep::LossMeter meter;
  lockstep::TrainStep step(
      {workload.forward, model, optimizer, source, meter, session.device(), settings["--precision"]});
  lockstep::StepRunner runner(session, step,
                              {.problem = settings["--capture"] == "on" ? "" : "--capture is off",
                               .required = settings["--capture"] == "on",
                               .steps_per_launch = settings.number("--capture-steps")});
  const auto stream = runner.enter_stream();
  std::int64_t done = 0;
  const auto run = [&](std::int64_t steps) {  // returns with nothing under way
    for (const std::int64_t end = done + steps; done < end;)
      done += runner({.step = done + 1, .until_stop = end - done, .learning_rate = [](auto) { return kLearningRate; }})
                  .steps;
    const lockstep::LossSums sums = meter.sums();
    meter.reset();
    return sums.loss / static_cast<double>(sums.samples);
  };
  run(settings.number("--warm-up"));
  const auto begin = std::chrono::steady_clock::now();
  const double loss = run(settings.number("--steps"));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() /
                         static_cast<double>(settings.number("--steps"));
  if (session.rank() != 0) return;
  if (!settings["--weights"].empty()) write_weights(settings["--weights"], *workload.module);
  const nlohmann::json line = {{"workload", settings.workload},
                               {"batch", settings.batch},
                               {"ranks", session.world_size()},
                               {"device", session.device().str()},
                               {"precision", settings["--precision"]},
                               {"captured", runner.report().captured},
                               {"steps_per_launch", runner.report().steps_per_launch},
                               {"step_seconds", seconds},
                               {"samples_per_second", static_cast<double>(source.global_batch_size()) / seconds},
                               {"loss", loss}};
  std::printf("%s\n", line.dump().c_str());
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  try {
    settings = parse(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "gpu_step: %s\n", e.what());
    return lockstep::exit_code(lockstep::ErrorKind::usage);
  }
  const lockstep::SessionOptions options{.device = settings["--device"], .threads = 1};
  return lockstep::run_main("gpu_step", options, [&](lockstep::Session& session) { measure(session, settings); });
}
