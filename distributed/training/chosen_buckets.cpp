#include "lockstep/distributed/training/chosen_buckets.h"

#include <algorithm>

#include "lockstep/distributed/gradients/plan_from_probe.h"
#include "lockstep/distributed/gradients/power_sgd.h"
#include "lockstep/distributed/training/precision.h"

namespace lockstep {
namespace {

constexpr std::int64_t probe_samples = 2;  // with one, batch normalisation has nothing to normalise

DataParallelOptions parallel_options(const TrainConfig& config) {
  DataParallelOptions options{.bucket_bytes = static_cast<std::int64_t>(config.bucket_mb.mb * (1 << 20)),
                              .shard_optimizer = config.shard_optimizer};
  options.first_bucket_bytes = std::min(options.first_bucket_bytes, options.bucket_bytes);
  if (config.compress == "bf16") options.reduction = reduce_in_16_bits(at::kBFloat16);
  if (config.compress == "fp16") options.reduction = reduce_in_16_bits(at::kHalf);
  if (config.compress == "powersgd") options.reduction = reduce_by_power_sgd({.rank = config.powersgd_rank});
  return options;
}

// As a step would do it (train_step.cpp), with the first samples of the training.
void try_backward(Session& session, const TrainConfig& config, const Forward& forward, BatchSource& train) {
  train.seek({0, 0});
  Batch batch;
  if (!train.next(batch)) return;
  const std::int64_t count = std::min(probe_samples, batch.local_count);
  if (count == 0 && !config.sync_batch_norm) return;
  const at::Tensor input = batch.input.narrow(0, 0, count).to(session.device());
  const at::Tensor target = batch.target.narrow(0, 0, count).to(session.device());
  at::Tensor logits;
  {
    const AutocastScope autocast(config.precision, session.device());
    logits = forward(input);
  }
  (count == 0 ? logits.sum().mul(0.0) : cross_entropy(logits, target)).backward();
}

}  // namespace

ChosenBuckets choose_buckets(Session& session, const TrainConfig& config, const torch::nn::Module& module,
                             const Forward& forward, BatchSource& train) {
  ChosenBuckets chosen{.options = parallel_options(config), .origin = {}};
  if (!config.bucket_mb.automatic) return chosen;
  if (config.deterministic) {
    chosen.origin = "buckets by size, as --deterministic asks for";
    return chosen;
  }
  const SamplePosition position = train.position();
  ProbeOptions probe{.backward = [&] { try_backward(session, config, forward, train); }};
  probe.time_factor =
      static_cast<double>(config.micro_batch(session.world_size())) / static_cast<double>(probe_samples);
  probe.layers_communicate = config.sync_batch_norm;
  probe.bucket_bytes = chosen.options.bucket_bytes;
  ProbedBuckets probed = plan_from_probe(module, session.communicator(), probe);
  train.seek(position);
  chosen.options.layout = std::move(probed.layout);
  chosen.origin = std::move(probed.origin);
  return chosen;
}

}  // namespace lockstep
