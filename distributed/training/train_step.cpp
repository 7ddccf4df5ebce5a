#include "lockstep/distributed/training/train_step.h"

#include <ATen/ops/cross_entropy_loss.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "lockstep/distributed/gradients/generators.h"
#include "lockstep/distributed/training/micro_batch_search.h"
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
    if (searching_) {
      search_pieces(batch_, {step, step_samples, spoil});
    } else if (batch_.local_count > 0 || parts_.layers_communicate) {
      backward(batch_, {step, step_samples, spoil});
    } else if (last) {
      parts_.model.synchronize();  // the others wait for this rank's part, which is zero
    }
  }
  if (result.global_samples == 0) return result;
  result.exposed_seconds = parts_.model.last_sync().exposed_seconds;
  if (parts_.guard) result.gradients = (*parts_.guard)(parts_.model, step);
  if (!result.gradients.skip) {
    parts_.optimizer.step(result.gradients.scale);
    if (parts_.average) parts_.average->update();
  }
  return result;
}

void TrainStep::record(std::span<const DeviceBatch> micro_batches, const UpdateNumbers& numbers) {
  const std::int64_t step_samples = parts_.source.global_batch_size() * static_cast<std::int64_t>(micro_batches.size());
  parts_.model.zero_grad();
  parts_.model.broadcast_buffers();
  for (const auto& batch : micro_batches) {
    std::optional<DataParallel::NoSync> only_add;
    if (&batch != &micro_batches.back()) only_add.emplace(parts_.model);
    backward_piece(batch.input, batch.target, {.step_samples = step_samples, .recorded = true});
  }
  const auto gradients = parts_.guard ? (*parts_.guard)(parts_.model, 0) : GradientGuard::Verdict{};
  parts_.optimizer.step_with(numbers.of_optimizer, gradients.scale);
  if (parts_.average) parts_.average->update_with(numbers.of_average);
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

void TrainStep::backward(const Batch& batch, const Part& part) {
  const at::Tensor input = batch.input.to(parts_.device, /*non_blocking=*/true);
  const at::Tensor target = batch.target.to(parts_.device, /*non_blocking=*/true);
  if (pieces_ == 1) return backward_piece(input, target, part);
  for (std::int64_t piece = 0; piece < pieces_; ++piece) {
    const std::int64_t first = batch.local_count * piece / pieces_;
    const std::int64_t count = batch.local_count * (piece + 1) / pieces_ - first;
    if (count == 0) continue;  // never the last one
    std::optional<DataParallel::NoSync> only_add;
    if (piece + 1 < pieces_) only_add.emplace(parts_.model);
    backward_piece(input.narrow(0, first, count), target.narrow(0, first, count), part);
  }
}

// No rank may wait for another before all know whether they can go on, so the ranks' sum comes after the search.
void TrainStep::search_pieces(const Batch& batch, const Part& part) {
  const auto random = generator_states(parts_.device);
  const LossSums loss = parts_.meter.sums();
  std::vector<at::Tensor> buffers;
  for (const auto& buffer : parts_.buffers) buffers.push_back(buffer.clone());
  const MicroBatchSearch search{.communicator = parts_.model.communicator(),
                                .device = parts_.device,
                                .local_count = batch.local_count,
                                .restore =
                                    [&] {
                                      parts_.model.zero_grad();
                                      parts_.meter.reset(loss);
                                      set_generator_states(parts_.device, random, 0);
                                      for (std::size_t i = 0; i < buffers.size(); ++i)
                                        parts_.buffers[i].copy_(buffers[i]);
                                    },
                                .say = parts_.say};
  pieces_ = find_pieces(search, pieces_, [&](std::int64_t pieces) {
    pieces_ = pieces;
    const auto only_add = parts_.model.no_sync();
    if (batch.local_count > 0) backward(batch, part);
  });
  parts_.model.synchronize();
  searching_ = false;
}

void TrainStep::backward_piece(const at::Tensor& input, const at::Tensor& target, const Part& part) {
  const std::int64_t count = input.size(0);
  at::Tensor loss;
  {
    const AutocastScope autocast(parts_.precision, parts_.device);
    loss = parts_.forward(input);
  }
  if (count == 0) return loss.sum().mul(0.0).backward();  // the mean of no losses is NaN
  loss = cross_entropy(loss, target);
  if (part.spoil) loss = loss.mul(std::numeric_limits<double>::quiet_NaN());
  part.recorded ? parts_.meter.add_on_device(loss, count) : parts_.meter.add(loss, count, part.step);
  // DataParallel averages over ranks; the mean over samples needs each rank's mean weighted by its share of the
  // samples.
  const double weight = static_cast<double>(count * parts_.model.communicator().size()) /
                        static_cast<double>(part.step_samples) * (parts_.guard ? parts_.guard->loss_scale() : 1);
  if (weight != 1) loss = loss.mul(weight);
  loss.backward();
}

}  // namespace lockstep
