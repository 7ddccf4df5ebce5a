// Data-parallel training of any torch::nn::Module: gradients are averaged over the ranks while backward runs.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/distributed/communicator/communicator.h"
#include "lockstep/distributed/gradients/bucket_plan.h"
#include "lockstep/distributed/gradients/bucket_reduction.h"

namespace torch::nn {
class Module;
}

namespace lockstep {

struct DataParallelOptions {
  std::int64_t bucket_bytes = 25 << 20;  // gradients per all_reduce; may change the last bits of a result
  std::int64_t first_bucket_bytes = 1 << 20;
  bool broadcast_buffers = true;  // buffers of rank 0 (batch-norm statistics) to all, by broadcast_buffers()
  // ZeRO, stage 1 (Rajbhandari et al. 2020, arXiv 1910.02054): each rank averages and updates its own shard of the
  // parameters, keeps the optimizer's state for that alone, and sends the new values to the others. Numbers are those
  // of the unsharded training, bit for bit where the communicator adds in one order (all ranks on one node).
  bool shard_optimizer = false;
  // How gradients travel (bucket_reduction.h). Left out: as they are.
  MakeReduction reduction = {};
  // Order and ends of buckets, equal on all ranks: from plan_from_probe(), or your own. Left out: last parameter first,
  // in buckets of bucket_bytes. Checkpoints know nothing of it.
  BucketLayout layout = {};
};

// Where the time of the last synchronised backward went, for this rank.
struct SyncTiming {
  // Waiting for collectives after backward had nothing left to compute; 0 of one rank. On a GPU the time of the newest
  // synchronisation that has become known, some steps late and each once (exposed_time.h); nothing where none has.
  std::optional<double> exposed_seconds;
  std::int64_t bytes = 0;  // handed to collectives
};

// Owns the flat buffers; the module's parameters and their gradients become views into them, so keep this object for as
// long as the module trains. One floating type and one device for all trainable parameters.
//
// Semantics are those of PyTorch's DistributedDataParallel with gradient_as_bucket_view: after loss.backward() every
// rank holds the same gradient, the mean over ranks. A parameter that got no gradient on this rank counts as zero; one
// that got none on any rank keeps an undefined gradient, and optimizers skip it. Frozen parameters
// (requires_grad == false at construction) take no part. With shard_optimizer a rank's gradients are the mean in its
// shard alone, and a step must begin with zero_grad().
class DataParallel {
 public:
  // Collective. Verifies names, shapes and types against rank 0 (Failure(usage) names the first difference and the
  // ranks), copies rank 0's parameters and buffers to all ranks, and verifies that all ranks made the same plan.
  DataParallel(torch::nn::Module& module, Communicator& communicator, DataParallelOptions options = {});
  ~DataParallel();
  DataParallel(const DataParallel&) = delete;
  DataParallel& operator=(const DataParallel&) = delete;

  // While alive, backward only adds into the local gradients (gradient accumulation); the first backward
  // after it synchronises the sum.
  class [[nodiscard]] NoSync {
   public:
    explicit NoSync(DataParallel& parent);
    ~NoSync();
    NoSync(const NoSync&) = delete;
    NoSync& operator=(const NoSync&) = delete;

   private:
    DataParallel& parent_;
    bool previous_;
  };
  NoSync no_sync() { return NoSync(*this); }

  // Makes the gradients undefined: call it before the first micro-batch of a step. Costs no memory traffic.
  void zero_grad();

  // Completes what backward started; called by itself at the end of every synchronised backward. Call it after a
  // backward that may have touched no parameter on this rank (an empty share of a last batch). Does nothing when the
  // gradients are synchronised already and untouched since. Collective.
  void synchronize();

  // True from the first gradient accumulated until they are synchronised: a step taken meanwhile would part the ranks.
  bool has_local_gradients() const;

  // For optimizers, before they read flat_gradients(): afterwards it holds what the parameters' .grad hold, as torch's
  // optimizers would see it, gradients that were replaced by hand included. Returns has_gradient(): false where .grad
  // is undefined (dropped by any zero_grad()). Throws Failure(usage) when the ranks have not averaged the gradients, or
  // when a parameter was moved to other memory.
  const std::vector<bool>& prepare_update();

  // As prepare_update(), but gradients stay where autograd has put them if an optimizer can read them there. Per
  // parameter the address of its gradient, laid out in memory as the parameter; null where .grad is undefined. Of
  // several ranks, and on GPUs: the addresses of the slots in flat_gradients().
  const std::vector<void*>& gradients_in_place();

  // Collective: rank 0's buffers (running statistics of batch normalisation) to all ranks; in between they follow each
  // rank's own samples. Call it once per step, before the first forward, and before a test. Does nothing when
  // broadcast_buffers is off, the module is in eval mode or has none.
  void broadcast_buffers();

  // Trainable parameters, in the module's order, and their tensors.
  const std::vector<ParameterInfo>& parameters() const;
  const std::vector<at::Tensor>& tensors() const;
  const BucketPlan& plan() const;
  Communicator& communicator() const;

  // Flat views, plan order, padded slots included: [plan().total_count] of the parameters' type. Padding is zero in
  // both.
  at::Tensor& flat_parameters();
  at::Tensor& flat_gradients();  // of one rank: up to date after prepare_update() alone

  // The shard that this rank's optimizer updates, 0 where there is one shard only.
  int shard() const;
  // Collective: every rank's shard of `flat` (laid out as the buffers above) to all ranks. Nothing to do with one
  // shard.
  void gather_shards(const at::Tensor& flat);
  // Per parameter: whether any rank had a gradient for it in the last synchronised backward.
  const std::vector<bool>& has_gradient() const;

  SyncTiming last_sync() const;
  // Off while the device's work is recorded for a CUDA graph: last_sync() then knows no time. Returns what held before.
  bool measure_exposed_time(bool on);
  // What gradients travel by; null where there is one rank.
  BucketReduction* reduction() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
