#include "lockstep/distributed/gradients/gradient_sync.h"

#include <ATen/ops/from_blob.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/function.h>

#include <algorithm>

#include "lockstep/core/error.h"

namespace lockstep {

GradientSync::GradientSync(const std::vector<ParameterInfo>& infos, const BucketPlan& plan, FlatBuffers& flat,
                           Communicator& communicator, const MakeReduction& make_reduction)
    : infos_(infos),
      plan_(plan),
      flat_(flat),
      communicator_(communicator),
      bucket_of_(infos.size()),
      versions_(infos.size()),
      stale_(infos.size()),
      has_gradient_(infos.size()),
      exposed_(flat.gradients().device()) {
  if (communicator.size() > 1) {
    const auto make = make_reduction ? make_reduction : reduce_plainly;
    reduction_ = make({plan, infos, flat.tensors(), flat.gradients().detach(), communicator});
    used_flags_ = flat_tensor(communicator, static_cast<std::int64_t>(infos.size()),
                              flat.gradients().options().dtype(at::kFloat));
    used_here_ = used_flags_.clone();
    sent_flags_.resize(infos.size());
  }
  for (std::size_t i = 0; i < plan.buckets.size(); ++i) {
    for (const auto& slot : plan.buckets[i].slots) bucket_of_[slot.parameter] = static_cast<int>(i);
  }
  prepare_next_backward();
}

void GradientSync::prepare_next_backward() {
  ready_.assign(infos_.size(), false);
  missing_.clear();
  for (const auto& bucket : plan_.buckets) missing_.push_back(bucket.slots.size());
  if (next_bucket_ > 0 && reduction_) reduction_->abandon();  // of a backward that threw; else nothing is under way
  flags_work_ = {};
  next_bucket_ = 0;
  callback_queued_ = false;
}

bool GradientSync::enable(bool synchronising) { return std::exchange(synchronising_, synchronising); }

void GradientSync::zero_grad() {
  flat_.check_in_place(infos_);
  for (const auto& tensor : flat_.tensors()) tensor.mutable_grad().reset();
  has_gradient_.assign(infos_.size(), false);
  stale_.assign(infos_.size(), false);
  synchronised_ = false;
  has_local_gradients_ = false;
  prepare_next_backward();
}

void GradientSync::gradient_ready(int parameter) {
  has_local_gradients_ = true;
  synchronised_ = false;
  const auto bucket = static_cast<std::size_t>(bucket_of_[parameter]);
  if (bucket < next_bucket_) {  // under no_sync() too: the other ranks are reading it
    fail(ErrorKind::usage, "the gradient of '" + infos_[parameter].name + "' changed after its bucket was sent",
         "one backward may complete a gradient once; run all but the last backward of a step under no_sync(), and none "
         "inside another");
  }
  if (plan_.shards > 1) refuse_stale_gradient(parameter);
  if (reduction_) {
    flat_.adopt_gradient(parameter, infos_[parameter].name);
  } else {  // of one rank it stays where it is
    flat_.check_gradient(parameter, infos_[parameter].name);
  }
  if (!synchronising_) return;
  if (!callback_queued_) call_at_end_of_backward();
  if (ready_[parameter]) return;
  ready_[parameter] = true;
  --missing_[bucket];
  start_full_buckets();
  if (next_bucket_ > 0) communicator_.progress();
}

void GradientSync::call_at_end_of_backward() {
  torch::autograd::Engine::get_default_engine().queue_callback([this] {
    // Still inside a node: this was a backward within a backward, and the outer one may have gradients to come.
    if (torch::autograd::get_current_node()) {
      fail(ErrorKind::usage, "a backward inside another backward completed gradients of a DataParallel module",
           "let the inner one return its gradients (torch::autograd::grad), or run both under no_sync() and call "
           "synchronize()");
    }
    synchronize();
  });
  callback_queued_ = true;
}

void GradientSync::start_full_buckets() {
  while (next_bucket_ < missing_.size() && missing_[next_bucket_] == 0) start_bucket(next_bucket_++);
}

void GradientSync::start_bucket(std::size_t index) {
  if (reduction_) reduction_->start(index);
}

// Round by round, because a reduction may need several collectives for a bucket.
void GradientSync::finish_buckets() {
  finished_.assign(plan_.buckets.size(), false);
  for (std::size_t left = finished_.size(); left > 0;) {
    for (std::size_t i = 0; i < finished_.size(); ++i) {
      if (finished_[i] || !finish_bucket(i)) continue;
      finished_[i] = true;
      --left;
    }
  }
}

// What a lost rank has kept from the others, by the names that a user knows. Of a wait that took too long: any other
// error says itself what has happened.
bool GradientSync::finish_bucket(std::size_t index) {
  try {
    return reduction_->finish(index);
  } catch (const Failure& failure) {
    Error error = failure.error();
    if (error.what.find(" is not complete after ") == std::string::npos) throw;
    const auto& slots = plan_.buckets[index].slots;
    const auto name = [&](const ParameterSlot& slot) { return "'" + infos_[slot.parameter].name + "'"; };
    error.what += "; awaited are the gradients of " + name(slots.front());
    if (slots.size() > 1) error.what += (slots.size() > 2 ? " … " : " and ") + name(slots.back());
    throw Failure(std::move(error));
  }
}

// With shards a synchronised gradient is the mean in this rank's shard and this rank's own elsewhere: nothing that
// another backward could be added to.
void GradientSync::refuse_stale_gradient(int parameter) {
  const auto i = static_cast<std::size_t>(parameter);
  if (!stale_[i]) return;
  stale_[i] = false;
  if (!flat_.holds_gradient(parameter, versions_[i] + 1)) return;  // dropped or zeroed by hand
  fail(ErrorKind::usage,
       "a backward was added to the gradient of '" + infos_[i].name + "', which was synchronised before",
       "with shard_optimizer a rank keeps the mean of its shard alone: call zero_grad() after each optimizer step");
}

void GradientSync::check_update() const {
  if (has_local_gradients_) {
    fail(ErrorKind::usage, "the optimizer was to use gradients that the ranks have not averaged",
         "end the step with a backward outside no_sync(), or call synchronize()");
  }
  flat_.check_in_place(infos_);
}

const std::vector<bool>& GradientSync::prepare_update() {
  check_update();
  for (std::size_t i = 0; i < infos_.size(); ++i) {
    has_gradient_[i] = is_used(i);
    if (has_gradient_[i]) flat_.adopt_gradient(static_cast<int>(i), infos_[i].name);
  }
  return has_gradient_;
}

const std::vector<void*>& GradientSync::gradients_in_place() {
  check_update();
  places_.assign(infos_.size(), nullptr);
  for (std::size_t i = 0; i < infos_.size(); ++i) {
    has_gradient_[i] = is_used(i);
    if (!has_gradient_[i]) continue;
    if (!flat_.lies_like_its_slot(static_cast<int>(i))) flat_.adopt_gradient(static_cast<int>(i), infos_[i].name);
    places_[i] = flat_.tensors()[i].grad().data_ptr();
  }
  return places_;
}

// Whether nobody has dropped, replaced or zeroed a gradient since it was synchronised, by any function there is for it.
bool GradientSync::still_synchronised() const {
  if (!synchronised_) return false;
  for (std::size_t i = 0; i < infos_.size(); ++i) {
    if (has_gradient_[i] != is_used(i)) return false;
    if (has_gradient_[i] && !flat_.holds_gradient(static_cast<int>(i), versions_[i])) return false;
  }
  return true;
}

void GradientSync::synchronize() {
  if (still_synchronised()) return;
  if (reduction_) exposed_.begin();
  const c10::AutoGradMode no_graph(false);
  fill_missing_slots();
  while (next_bucket_ < plan_.buckets.size()) start_bucket(next_bucket_++);
  for (std::size_t i = 0; i < infos_.size(); ++i) has_gradient_[i] = is_used(i);
  timing_ = {.exposed_seconds = reduction_ ? std::nullopt : std::optional(0.0)};
  if (reduction_) {
    send_used_flags();
    finish_buckets();
    receive_used_flags();
    exposed_.end();
    timing_.exposed_seconds = exposed_.take();
    timing_.bytes = reduction_->bytes();
  }
  next_bucket_ = 0;
  prepare_next_backward();
  for (std::size_t i = 0; i < infos_.size(); ++i) versions_[i] = flat_.gradient_version(static_cast<int>(i));
  stale_.assign(infos_.size(), plan_.shards > 1);
  synchronised_ = true;
  has_local_gradients_ = false;
}

// A parameter that this rank did not use counts as zero. One with a gradient from before (no_sync, an earlier backward
// without zero_grad, or set by hand) goes in with that.
void GradientSync::fill_missing_slots() {
  for (std::size_t b = next_bucket_; b < plan_.buckets.size(); ++b) {
    if (missing_[b] == 0) continue;
    for (const auto& slot : plan_.buckets[b].slots) {
      if (ready_[slot.parameter]) continue;
      if (is_used(slot.parameter)) {
        flat_.adopt_gradient(slot.parameter, infos_[slot.parameter].name);
      } else {
        flat_.gradients().narrow(0, slot.offset, slot.count).zero_();
      }
    }
  }
}

void GradientSync::send_used_flags() {
  bool changed = false;
  for (std::size_t i = 0; i < infos_.size(); ++i) {
    const float flag = has_gradient_[i] ? 1 : 0;
    changed |= flag != sent_flags_[i];
    sent_flags_[i] = flag;
  }
  // They are the same in nearly every step: on a GPU nothing is waited for then.
  if (changed) used_here_.copy_(at::from_blob(sent_flags_.data(), {used_here_.numel()}, at::kFloat));
  used_flags_.copy_(used_here_);
  flags_work_ =
      communicator_.all_reduce({used_flags_.data_ptr(), used_flags_.numel(), DataType::float32}, ReduceOp::sum);
}

void GradientSync::receive_used_flags() {
  flags_work_.wait();
  flags_work_ = {};
  if (std::find(has_gradient_.begin(), has_gradient_.end(), false) == has_gradient_.end()) return;
  const auto flags = used_flags_.to(at::kCPU);
  const auto* values = flags.const_data_ptr<float>();
  for (std::size_t i = 0; i < infos_.size(); ++i) {
    if (has_gradient_[i] || values[i] == 0) continue;
    has_gradient_[i] = true;
    flat_.tensors()[i].mutable_grad() = flat_.gradient_view(static_cast<int>(i));
  }
}

}  // namespace lockstep
