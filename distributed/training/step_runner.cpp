#include "lockstep/distributed/training/step_runner.h"

#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

// What convolutions, matrix products and NCCL set up when they are first used must be there; PyTorch's guide says
// three.
constexpr std::int64_t kWarmSteps = 3;

// A parameter that no rank had a gradient for in the last step; -1: there is none.
std::ptrdiff_t without_gradient(const DataParallel& model) {
  const auto& has = model.has_gradient();
  const auto found = std::find(has.begin(), has.end(), false);
  return found == has.end() ? -1 : found - has.begin();
}

void require_all_gradients(const DataParallel& model) {
  const auto without = without_gradient(model);
  if (without < 0) return;
  fail(ErrorKind::environment, "parameter '" + model.parameters()[static_cast<std::size_t>(without)].name +
                                   "' got no gradient, which the host looks at after each step");
}

at::Tensor form_of(const at::Tensor& values) { return at::empty_like(values, values.options().device(at::kMeta)); }

class NoTiming {
 public:
  explicit NoTiming(DataParallel& model) : model_(model), before_(model.measure_exposed_time(false)) {}
  ~NoTiming() { model_.measure_exposed_time(before_); }
  NoTiming(const NoTiming&) = delete;
  NoTiming& operator=(const NoTiming&) = delete;

 private:
  DataParallel& model_;
  const bool before_;
};

}  // namespace

StepRunner::StepRunner(Session& session, TrainStep& step, StepRunnerOptions options)
    : session_(session), step_(step), options_(std::move(options)), problem_(options_.problem) {
  if (!options_.required) return;
  session.agree([&] {
    if (!problem_.empty()) throw Failure(refusal());
  });
}

Error StepRunner::refusal() const {
  return {ErrorKind::usage,
          "--capture is on, but steps cannot be captured: " + problem_,
          {},
          "leave --capture out: steps are then captured where that is possible"};
}

std::unique_ptr<StreamScope> StepRunner::enter_stream() const {
  return problem_.empty() ? std::make_unique<StreamScope>(step_.parts().device) : nullptr;
}

CaptureReport StepRunner::report() const {
  CaptureReport report{.captured = replayed_, .reason = problem_, .steps_per_launch = options_.steps_per_launch};
  if (!replayed_ && problem_.empty()) report.reason = "the training was over after the first steps, which never are";
  return report;
}

// Of this epoch.
std::int64_t StepRunner::full_steps() const {
  const BatchSource& source = step_.parts().source;
  const std::int64_t left = source.sample_count() - source.position().consumed;
  return left / source.global_batch_size() / step_.parts().accumulate;
}

StepResult StepRunner::operator()(const Ahead& ahead) {
  const bool full = full_steps() > 0;
  if (problem_.empty() && !one_ && full && !ahead.alone && warm_steps_ >= kWarmSteps) record();
  const StepLaunch launch = plan_step_launch({.recorded = one_ && without_gradient(step_.parts().model) < 0,
                                              .steps_per_launch = options_.steps_per_launch,
                                              .until_stop = ahead.until_stop,
                                              .full_steps = full_steps(),
                                              .alone = ahead.alone});
  if (launch.replayed) return replay(launch.steps, ahead);
  step_.parts().optimizer.set_learning_rate(ahead.learning_rate(0));
  const StepResult result = step_(ahead.step, ahead.spoil);
  if (problem_.empty() && full) {
    ++warm_steps_;
    example_ = {form_of(step_.last_batch().input), form_of(step_.last_batch().target)};
  }
  return result;
}

// Every rank comes here in the same step, and none replays unless all can: a collective of a graph and one of a rank
// that goes on without would be the same to NCCL's peers in most cases, not in all.
void StepRunner::record() {
  const StepParts& parts = step_.parts();
  std::optional<Error> error;
  try {
    require_all_gradients(parts.model);
    const auto numbers = static_cast<std::int64_t>(parts.optimizer.step_numbers(1).size());
    inputs_.emplace(example_,
                    StepLayout{.steps = options_.steps_per_launch,
                               .micro_batches = parts.accumulate,
                               .numbers = numbers,
                               .averages = parts.average != nullptr,
                               .number_type = parts.optimizer.number_type()},
                    parts.device);
    one_ = options_.make_graph(nullptr);
    record(*one_, 1);
    if (options_.steps_per_launch > 1) {
      many_ = options_.make_graph(one_.get());
      record(*many_, options_.steps_per_launch);
    }
  } catch (const std::exception& e) {
    error = to_error(e);
    if (error->kind == ErrorKind::peer_lost) throw;
  }
  if (const std::string why = first_of_ranks(error ? error->what : ""); !why.empty()) return give_up(why);
  if (options_.say)
    options_.say("steps are captured: " + std::to_string(options_.steps_per_launch) + " per launch of a CUDA graph");
}

// Collective: what the lowest rank with something to say says, cut to a line or two; the same on all ranks.
std::string StepRunner::first_of_ranks(const std::string& said) const {
  constexpr std::size_t room = 400;
  std::string mine = said.substr(0, room), all, first;
  mine.resize(room, '\0');
  if (session_.rank() == 0) all.resize(room * static_cast<std::size_t>(session_.world_size()));
  session_.gather_bytes(mine.data(), room, session_.rank() == 0 ? all.data() : nullptr);
  for (std::size_t place = 0; place < all.size() && first.empty(); place += room) {
    first = all.substr(place, room).c_str();
    if (!first.empty() && place > 0) first = "rank " + std::to_string(place / room) + ": " + first;
  }
  session_.broadcast_text(first);
  return first;
}

void StepRunner::record(StepGraph& graph, std::int64_t steps) {
  const NoTiming untimed(step_.parts().model);
  graph.capture([this, steps] {
    for (std::int64_t i = 0; i < steps; ++i) step_.record(inputs_->batches(i), inputs_->numbers(i));
  });
}

// Nothing was executed: weights, optimizer and data are where the last step has left them.
void StepRunner::give_up(const std::string& why) {
  many_.reset();
  one_.reset();
  inputs_.reset();
  step_.parts().model.zero_grad();  // forgets a backward that was interrupted
  problem_ = why;
  if (options_.required) throw AgreedFailure(refusal(), session_.rank() == 0);
  if (options_.say) options_.say("steps are not captured: " + problem_);
}

StepResult StepRunner::replay(std::int64_t steps, const Ahead& ahead) {
  const StepParts& parts = step_.parts();
  StepResult result{.steps = steps};
  std::vector<double> rates;  // before batches are taken, which moves the schedule's position
  for (std::int64_t i = 0; i < steps; ++i) rates.push_back(ahead.learning_rate(i));
  inputs_->wait_until_free();
  std::int64_t own_samples = 0;
  Batch batch;
  for (std::int64_t i = 0; i < steps; ++i) {
    for (std::int64_t m = 0; m < parts.accumulate; ++m) {
      if (!parts.source.next(batch)) fail(ErrorKind::internal, "a full step was expected, and the epoch is over");
      inputs_->put_batch(i, m, batch);
      result.global_samples += batch.global_count;
      own_samples += batch.local_count;
    }
    std::optional<double> share;
    if (parts.average) share = parts.average->step_number(i);
    inputs_->put_numbers(i, parts.optimizer.step_numbers(rates[static_cast<std::size_t>(i)], i), share);
  }
  inputs_->send(steps);
  (steps == 1 ? one_ : many_)->replay();
  inputs_->launched();
  replayed_ = true;

  parts.optimizer.set_learning_rate(rates.back());
  parts.optimizer.count_steps(steps);
  if (parts.average) parts.average->count_updates(steps);
  parts.meter.count(own_samples, ahead.step, ahead.step + steps - 1);
  return result;
}

}  // namespace lockstep
