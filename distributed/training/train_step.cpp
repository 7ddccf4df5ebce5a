#include "lockstep/distributed/training/train_step.h"

#include <ATen/ops/cross_entropy_loss.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "lockstep/distributed/training/precision.h"

namespace lockstep {

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& target) {
  const at::Tensor rows = logits.flatten(0, -2);
  return at::cross_entropy_loss(rows.scalar_type() == at::kFloat ? rows : rows.to(at::kFloat), target.flatten());
}

StepResult TrainStep::operator()(std::int64_t step, bool spoil) {
  const std::int64_t step_samples = samples_ahead();
  StepResult result;
  parts_.model.zero_grad();
  parts_.model.broadcast_buffers();
  for (std::int64_t micro_batch = 1; result.global_samples < step_samples; ++micro_batch) {
    if (!parts_.source.next(batch_)) break;
    result.global_samples += batch_.global_count;
    const bool last = result.global_samples >= step_samples;
    std::optional<DataParallel::NoSync> only_add;  // before the last one gradients are summed here, not over the ranks
    if (!last) only_add.emplace(parts_.model);
    if (batch_.local_count > 0 || parts_.layers_communicate) {
      backward(batch_, step, step_samples, spoil);
    } else if (last) {
      parts_.model.synchronize();  // the others wait for this rank's part, which is zero
    }
  }
  if (result.global_samples == 0) return result;
  result.exposed_seconds = parts_.model.last_sync().exposed_seconds;
  if (parts_.guard) result.gradients = (*parts_.guard)(parts_.model, step);
  if (!result.gradients.skip) parts_.optimizer.step(result.gradients.scale);
  return result;
}

// Samples of all ranks in the next step. Known beforehand, because each micro-batch's loss is weighted by it.
std::int64_t TrainStep::samples_ahead() const {
  const std::int64_t batch = parts_.source.global_batch_size(), total = parts_.source.sample_count();
  const bool drops_the_rest = parts_.source.steps_per_epoch() * batch < total;
  const std::int64_t not_yet_seen = total - parts_.source.position().consumed;
  const std::int64_t left = drops_the_rest ? not_yet_seen - not_yet_seen % batch : not_yet_seen;
  const std::int64_t wanted = batch > std::numeric_limits<std::int64_t>::max() / parts_.accumulate
                                  ? std::numeric_limits<std::int64_t>::max()
                                  : batch * parts_.accumulate;
  return std::min(wanted, left);
}

void TrainStep::backward(const Batch& batch, std::int64_t step, std::int64_t step_samples, bool spoil) {
  const at::Tensor input = batch.input.to(parts_.device, /*non_blocking=*/true);
  const at::Tensor target = batch.target.to(parts_.device, /*non_blocking=*/true);
  at::Tensor loss;
  {
    const AutocastScope autocast(parts_.precision, parts_.device);
    loss = parts_.forward(input);
  }
  if (batch.local_count == 0) return loss.sum().mul(0.0).backward();  // the mean of no losses is NaN
  loss = cross_entropy(loss, target);
  if (spoil) loss = loss.mul(std::numeric_limits<double>::quiet_NaN());
  parts_.meter.add(loss, batch.local_count, step);
  // DataParallel averages over ranks; the mean over samples needs each rank's mean weighted by its share of the
  // samples.
  const double weight = static_cast<double>(batch.local_count * parts_.model.communicator().size()) /
                        static_cast<double>(step_samples) * (parts_.guard ? parts_.guard->loss_scale() : 1);
  if (weight != 1) loss = loss.mul(weight);
  loss.backward();
}

}  // namespace lockstep
