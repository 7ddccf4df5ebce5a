// One training step, by Lockstep and by hand, of the same workload with the same arithmetic.
#pragma once

#include <memory>

#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/optimizer/fused_sgd.h"
#include "workload.h"

class Trainer {
 public:
  explicit Trainer(Workload workload) : workload_(std::move(workload)) {}
  virtual ~Trainer() = default;
  // Returns the loss of this rank's batch, as a training program would print it.
  virtual float step() = 0;
  virtual double exposed_seconds() const { return 0; }  // of the last step: waiting for other ranks
  const torch::nn::Module& module() const { return *workload_.module; }

 protected:
  const LabelledBatch& next_batch() { return workload_.batches[steps_++ % workload_.batches.size()]; }
  Workload workload_;

 private:
  std::size_t steps_ = 0;
};

// The step of README.md: DataParallel and FusedSgd.
class LockstepTrainer : public Trainer {
 public:
  LockstepTrainer(Workload workload, lockstep::Communicator& communicator, lockstep::DataParallelOptions options = {})
      : Trainer(std::move(workload)),
        model_(*workload_.module, communicator, std::move(options)),
        optimizer_(model_, {.learning_rate = kLearningRate, .momentum = kMomentum}) {}
  float step() override;
  double exposed_seconds() const override { return model_.last_sync().exposed_seconds.value_or(0); }
  const lockstep::BucketPlan& plan() const { return model_.plan(); }

 private:
  lockstep::DataParallel model_;
  lockstep::FusedSgd optimizer_;
};

// The least that a program of one rank can do: no DataParallel, and FusedSgd's kernel on each parameter where it lies.
class BareTrainer : public Trainer {
 public:
  explicit BareTrainer(Workload workload);
  float step() override;

 private:
  std::vector<at::Tensor> parameters_, momenta_;
  bool first_ = true;
};
