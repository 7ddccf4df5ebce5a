// A whole training: resume, epochs, evaluation, metrics, checkpoints, the final model.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/data/batch.h"
#include "lockstep/distributed/checkpoint/checkpoint_store.h"
#include "lockstep/distributed/checkpoint/folder_lock.h"
#include "lockstep/distributed/checkpoint/model_file.h"
#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/optimizer/optimizer.h"
#include "lockstep/distributed/optimizer/weight_average.h"
#include "lockstep/distributed/session/session.h"
#include "lockstep/distributed/training/chosen_buckets.h"
#include "lockstep/distributed/training/evaluation.h"
#include "lockstep/distributed/training/fault_injection.h"
#include "lockstep/distributed/training/loss_meter.h"
#include "lockstep/distributed/training/memory_report.h"
#include "lockstep/distributed/training/rank_waits.h"
#include "lockstep/distributed/training/step_clock.h"
#include "lockstep/distributed/training/step_runner.h"
#include "lockstep/distributed/training/summary.h"
#include "lockstep/distributed/training/train_config.h"
#include "lockstep/distributed/training/train_report.h"
#include "lockstep/distributed/training/train_step.h"
#include "lockstep/distributed/training/training_length.h"
#include "lockstep/distributed/training/training_state.h"

namespace lockstep {

// What is trained on what. The references outlive the TrainLoop.
struct TrainingTask {
  torch::nn::Module& module;  // on the session's device
  Forward forward;
  BatchSource& train;  // made for this rank; global_batch_size() is that of one micro-batch
  BatchSource& test;
  std::map<std::string, std::string> identity;  // what a checkpoint must agree with: model, data, …
  ModelFacts facts;                             // goes into outputs/model.h5
};

// Uses of `config`: everything but model, data, normalize, weights, device and threads, which made the task and the
// session.
class TrainLoop {
 public:
  // Collective. Throws AgreedFailure when the outputs are not writable, another training writes there, or there is no
  // sound starting point.
  TrainLoop(Session& session, const TrainConfig& config, TrainingTask task);

  // Collective. Trains to the end, evaluates, writes outputs/checkpoints/, outputs/model.h5 and --summary. The times
  // are this rank's; the weights' digest is rank 0's alone (all ranks have the same weights, and hashing them takes
  // long).
  TrainingSummary run();

 private:
  void resume();
  void announce();
  bool nothing_left() const;
  StepRunnerOptions runner_options();
  void train();
  StepRunner::Ahead ahead() const;
  void after_step(const StepResult& result, double seconds, std::int64_t batch_before);
  std::vector<MemoryUse> memory_of_ranks();
  void compare_replicas();
  void end_epoch();
  void close_window();
  void show_progress(std::chrono::steady_clock::time_point now);
  void evaluate_now();
  LiveState live();
  TrainingLength plan(ScheduleUnit unit, SamplePosition position) const;
  void save_checkpoint();
  TrainingSummary finish();
  std::int64_t batches_of_epoch() const;
  bool speaks() const { return session_.rank() == 0; }

  Session& session_;
  const TrainConfig config_;
  TrainingTask task_;
  CheckpointStore store_;
  FolderLock lock_;  // of store_; rank 0's
  const ChosenBuckets buckets_;
  DataParallel model_;
  std::unique_ptr<Optimizer> optimizer_;
  GradientGuard guard_;
  std::optional<WeightAverage> average_;
  LossMeter meter_;
  TrainStep train_step_;
  StepRunner runner_;  // behind model_: what it records uses the model's memory
  StepClock clock_;
  RankWaits waits_;
  TrainReport report_;
  FaultInjection fault_;
  const EpochCut cut_;
  TrainingLength length_;
  std::int64_t step_ = 0;   // optimizer steps done
  std::int64_t epoch_ = 0;  // whole passes done
  std::optional<double> train_loss_, gradient_norm_;
  std::optional<Evaluation> evaluation_;
  std::int64_t evaluated_step_ = -1, saved_step_ = -1;
  std::string resumed_from_;
};

}  // namespace lockstep
