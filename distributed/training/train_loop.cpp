#include "lockstep/distributed/training/train_loop.h"

#include <torch/nn/module.h>

#include <cmath>
#include <cstdio>

#include "lockstep/distributed/gradients/replica_check.h"
#include "lockstep/distributed/session/versions.h"
#include "lockstep/distributed/training/chosen_optimizer.h"
#include "lockstep/distributed/training/resume.h"
#include "lockstep/distributed/training/small_sums.h"
#include "lockstep/distributed/training/training_state.h"

namespace lockstep {

using Clock = std::chrono::steady_clock;

namespace {

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// Nothing where not all ranks know their part.
std::optional<double> fraction_of_all(double part, double whole, bool known) {
  if (!known) return {};
  return whole > 0 ? part / whole : 0;
}

// Which option ends a training that has made `steps`.
std::string length_given(const TrainConfig& config, std::int64_t steps) {
  if (config.steps && *config.steps <= steps) return "--steps is " + grouped(*config.steps);
  return "--epochs is " + grouped(config.epoch_limit().value_or(0));
}

// Made and written by rank 0 alone.
std::filesystem::path outputs_of(Session& session) {
  return session.rank() == 0 ? session.run().outputs_directory() : std::filesystem::path();
}

GuardOptions guard_options(const TrainConfig& config) {
  GuardOptions options{config.clip_norm, config.skip_outliers, config.outlier_window, {}};
  if (config.precision == "fp16") options.loss_scale = LossScalerOptions{.initial = config.loss_scale.value_or(65536)};
  return options;
}

std::optional<WeightAverage> make_average(const TrainConfig& config, DataParallel& model) {
  std::optional<WeightAverage> average;
  if (config.ema_decay) average.emplace(model, WeightAverageOptions{.decay = *config.ema_decay});
  return average;
}

std::int64_t rounded_up(std::int64_t a, std::int64_t b) { return a / b + (a % b != 0); }

}  // namespace

TrainLoop::TrainLoop(Session& session, const TrainConfig& config, TrainingTask task)
    : session_(session),
      config_(config),
      task_(std::move(task)),
      store_(outputs_of(session) / "checkpoints"),
      buckets_(choose_buckets(session, config, task_.module, task_.forward, task_.train)),
      model_(task_.module, session.communicator(), buckets_.options),
      optimizer_(session.agree([&] { return make_optimizer(config_, model_); })),
      guard_(guard_options(config)),
      average_(make_average(config, model_)),
      train_step_({task_.forward, model_, *optimizer_, task_.train, meter_, session.device(), config.precision,
                   config.accumulate.count, config.sync_batch_norm, &guard_, average_ ? &*average_ : nullptr,
                   config.accumulate.automatic, task_.module.buffers(),
                   [this](const std::string& text) { report_.line(text); }}),
      runner_(session, train_step_, runner_options()),
      report_(session.run(), session.rank() == 0),
      fault_(session.rank()),
      cut_(epoch_cut(task_.train, config.accumulate.count)) {
  session_.agree([&] {
    if (!speaks()) return;
    store_.prepare();
    lock_ = FolderLock(store_.folder());
  });
  resume();
}

// What a checkpoint is made of.
LiveState TrainLoop::live() {
  std::vector<Stateful*> parts = {optimizer_.get(), &guard_};
  if (average_) parts.push_back(&*average_);
  return {session_, task_.module, model_, std::move(parts), optimizer_->learning_rate(), task_.train, meter_};
}

TrainingLength TrainLoop::plan(ScheduleUnit unit, SamplePosition position) const {
  TrainingLength length = plan_length(config_, cut_, unit, step_, position);
  length.schedule.learning_rate *= learning_rate_scale(config_.scale_learning_rate, session_.world_size());
  return length;
}

void TrainLoop::resume() {
  task_.train.seek({0, 0});
  length_ = plan({}, {});
  StartingPoint start = find_starting_point(session_, config_.resume, store_, task_.identity);
  if (!start.checkpoint) return;
  LiveState state = live();
  session_.agree([&] { apply(*start.checkpoint, state, config_.seed, start.origin); });
  step_ = saved_step_ = start.checkpoint->step;
  epoch_ = start.checkpoint->position.epoch;
  if (!std::isnan(start.checkpoint->last_train_loss)) train_loss_ = start.checkpoint->last_train_loss;
  resumed_from_ = start.origin;
  if (train_step_.epoch_over()) task_.train.seek({++epoch_, 0});  // of what is left, larger batches leave out all
  length_ = plan({start.checkpoint->first_step_samples, start.checkpoint->first_epoch_steps}, task_.train.position());
}

StepRunnerOptions TrainLoop::runner_options() {
  const c10::Device device = session_.device();
  return {.problem = capture_problem(config_, {.on_gpu = device.is_cuda(),
                                               .device = device.str(),
                                               .communicator = std::string(model_.communicator().name()),
                                               .world_size = session_.world_size(),
                                               .weights_of_16_bits = model_.flat_parameters().element_size() == 2}),
          .required = config_.capture == "on",
          .steps_per_launch = config_.capture_steps,
          .say = [this](const std::string& text) { report_.line(text); }};
}

TrainingSummary TrainLoop::run() {
  const auto stream = runner_.enter_stream();
  announce();
  train();
  return finish();
}

// A resumed training that had come to its end already.
bool TrainLoop::nothing_left() const { return !resumed_from_.empty() && clock_.total().steps == 0; }

void TrainLoop::announce() {
  if (!resumed_from_.empty())
    report_.line("resumed from " + resumed_from_ + ": epoch " + std::to_string(epoch_ + 1) + ", " + grouped(step_) +
                 " steps done");
  if (!resumed_from_.empty() && config_.compress == "powersgd")
    report_.line("powersgd begins anew: what earlier steps had not yet sent is not in checkpoints");
  if (length_.unit.samples != cut_.step_samples())
    report_.line("the batch is " + grouped(cut_.step_samples()) + " samples, it was " + grouped(length_.unit.samples) +
                 " when the training began: " +
                 (length_.by_samples ? "epochs and schedule go on by samples" : "--steps and schedule go on by steps"));
  report_.line(grouped(length_.total_steps) + " steps, " + grouped(cut_.steps()) + " per epoch, of " +
               grouped(cut_.step_samples()) + " samples; " + describe(model_.plan(), model_.parameters()) +
               (buckets_.origin.empty() ? "" : "; " + buckets_.origin));
  if (!resumed_from_.empty() && step_ >= length_.total_steps)
    report_.line("the checkpoint is at step " + grouped(step_) + " already, " + length_given(config_, step_) +
                 ": nothing to do but test it and write the model");
  if (session_.device().is_cuda() && config_.capture == "auto" && !runner_.may_capture())
    report_.line("steps are not captured: " + runner_.report().reason);
}

// What is known of the steps to come. Equal on all ranks.
StepRunner::Ahead TrainLoop::ahead() const {
  const SamplePosition position = task_.train.position();
  const Stops stops{.total_steps = length_.total_steps,
                    .eval_every = config_.eval_every,
                    .checkpoint_every = config_.checkpoint_every,
                    .check_replicas = config_.check_replicas,
                    .log_every = config_.log_every,
                    .log_batch = config_.log_batch(),
                    .step_samples = cut_.step_samples()};
  const std::int64_t before_strike = fault_.next_strike(step_ + 1) - step_ - 1;
  return {.step = step_ + 1,
          .until_stop = std::min(steps_to_stop(stops, step_, position.consumed), before_strike),
          .alone = before_strike == 0,
          .learning_rate = [this, position](std::int64_t ahead) {
            const SamplePosition there{position.epoch, position.consumed + ahead * cut_.step_samples()};
            return learning_rate_at(length_.schedule, length_.schedule_position(step_ + ahead, there));
          }};
}

void TrainLoop::train() {
  waits_.take(session_, model_.communicator());  // what came before the first step is nobody's lateness
  while (step_ < length_.total_steps) {
    const std::int64_t batch_before = batches_of_epoch();
    StepRunner::Ahead next = ahead();
    next.spoil = fault_.strike(step_ + 1);
    if (fault_.flips_bit(step_ + 1)) flip_bit(model_.tensors().back());
    const auto begin = Clock::now();
    const StepResult result = runner_(next);
    if (result.global_samples == 0) fail(ErrorKind::internal, "an epoch of no samples");
    const auto end = Clock::now();
    step_ += result.steps;
    after_step(result, seconds_between(begin, end), batch_before);
    if (report_.progress_due(end)) show_progress(end);
  }
}

void TrainLoop::after_step(const StepResult& result, double seconds, std::int64_t batch_before) {
  if (clock_.total().steps == 0) {
    session_.start_up().mark("first_step");
    if (speaks()) session_.run().mark_started();
    report_.memory(memory_of_ranks(), step_);
  }
  clock_.add(seconds, result.global_samples, result.exposed_seconds, result.steps);
  if (result.gradients.skip) report_.line("step " + std::to_string(step_) + " is left out: " + result.gradients.reason);
  gradient_norm_ = result.gradients.norm;
  if (config_.check_replicas > 0 && step_ % config_.check_replicas == 0) compare_replicas();
  if (batches_of_epoch() / config_.log_every != batch_before / config_.log_every) close_window();
  const bool epoch_over = train_step_.epoch_over();
  if (config_.eval_every > 0 && step_ % config_.eval_every == 0 && !epoch_over) evaluate_now();
  if (epoch_over) end_epoch();
  if (epoch_over || (config_.checkpoint_every > 0 && step_ % config_.checkpoint_every == 0)) save_checkpoint();
}

std::vector<MemoryUse> TrainLoop::memory_of_ranks() {
  return gather_memory(model_.communicator(), session_.device(), measure_memory(task_.module, model_, *optimizer_));
}

// All ranks come to the same result, so that one of them says it and no checkpoint is written after it.
void TrainLoop::compare_replicas() {
  const auto difference = find_replica_difference(model_);
  session_.agree([&] {
    if (difference) fail_of(*difference, "after step " + std::to_string(step_));
  });
}

void TrainLoop::end_epoch() {
  evaluate_now();
  // As in the tutorial the running loss starts anew with each epoch; what a short training has gathered so far is its
  // only loss.
  if (!train_loss_ && step_ == length_.total_steps) close_window();
  meter_.reset();
  task_.train.seek({++epoch_, 0});
}

// Mini-batches of this epoch so far; a function of the samples alone, so that it is the same after a resume with other
// ranks.
std::int64_t TrainLoop::batches_of_epoch() const {
  return rounded_up(task_.train.position().consumed, config_.log_batch());
}

// The mean over the samples of all ranks since the window began, in earlier attempts too.
void TrainLoop::close_window() {
  const auto begin = Clock::now();
  const LossSums loss = meter_.sums();
  if (!session_.device().is_cpu()) clock_.add_wait(seconds_between(begin, Clock::now()));  // for the steps to be done
  const StepTotals window = clock_.take_window();
  const double world_size = session_.world_size();
  const auto exposed = window.all_exposed_seconds();
  double sums[] = {loss.loss, static_cast<double>(loss.samples), window.seconds, exposed.value_or(0),
                   exposed ? 1.0 : 0.0};
  sum_over_ranks(model_.communicator(), session_.device(), sums);
  meter_.reset();
  const WaitWindow waits = waits_.take(session_, model_.communicator());
  if (sums[1] == 0) return;
  train_loss_ = sums[0] / sums[1];
  const double seconds = sums[2] / world_size;
  report_.loss(
      {.epoch = epoch_,
       .batch = batches_of_epoch(),
       .step = step_,
       .loss = *train_loss_,
       .learning_rate = optimizer_->learning_rate(),
       .gradient_norm = gradient_norm_,
       .samples_per_second = seconds > 0 ? static_cast<double>(window.samples) / seconds : 0,
       .exposed_fraction = fraction_of_all(sums[3], sums[2], sums[4] == world_size),
       .waited_fraction = seconds > 0 ? waits.waited_seconds / seconds : 0,
       .bytes_per_step = window.steps > 0 ? static_cast<double>(waits.bytes) / static_cast<double>(window.steps) : 0,
       .straggler = straggler_line(waits, seconds)});
}

void TrainLoop::show_progress(Clock::time_point now) {
  const LossSums loss = meter_.sums();  // of this rank: good enough to look at
  const StepTotals& total = clock_.total();
  const double step_seconds = clock_.recent_step_seconds();
  report_.progress(
      {.epoch = epoch_,
       .epochs = length_.epochs,
       .step = step_,
       .total_steps = length_.total_steps,
       .loss = loss.samples > 0 ? loss.loss / static_cast<double>(loss.samples) : train_loss_.value_or(std::nan("")),
       .samples_per_second = static_cast<double>(cut_.step_samples()) / step_seconds,
       .exposed_fraction = total.exposed_fraction().value_or(0),
       .seconds_left = static_cast<double>(length_.total_steps - step_) * step_seconds},
      now);
}

void TrainLoop::evaluate_now() {
  model_.broadcast_buffers();  // one model is tested, not one per rank
  std::optional<WeightAverage::Swapped> averaged;
  if (average_) averaged.emplace(*average_);
  evaluation_ = evaluate(task_.module, task_.forward, task_.test, model_.communicator(), session_.device(),
                         train_step_.pieces());
  evaluated_step_ = step_;
  report_.evaluation(epoch_, step_, *evaluation_);
}

void TrainLoop::save_checkpoint() {
  LiveState state = live();
  Checkpoint checkpoint = capture(state);
  saved_step_ = step_;
  if (!speaks()) return;
  const TrainConfig defaults;
  checkpoint.step = step_;
  checkpoint.first_step_samples = length_.unit.samples;
  checkpoint.first_epoch_steps = length_.unit.epoch_steps;
  checkpoint.identity = task_.identity;
  checkpoint.config = train_options().to_ini(&config_, &defaults);
  checkpoint.last_train_loss = train_loss_.value_or(std::nan(""));
  store_.save(checkpoint);
}

TrainingSummary TrainLoop::finish() {
  if (evaluated_step_ != step_) evaluate_now();
  if (!train_loss_) close_window();
  if (saved_step_ != step_) save_checkpoint();
  task_.facts.step = step_;
  const auto model_path = outputs_of(session_) / "model.h5";
  std::optional<WeightAverage::Swapped> averaged;
  if (average_) averaged.emplace(*average_);
  const std::string digest = speaks() ? write_model(model_path, task_.facts, state_dict(task_.module)) : "";

  const auto own_exposed = clock_.total().all_exposed_seconds();
  double exposed[] = {own_exposed.value_or(0), own_exposed ? 1.0 : 0.0};
  sum_over_ranks(model_.communicator(), session_.device(), exposed);
  const StepTotals& total = clock_.total();
  TrainingSummary summary{
      .world_size = session_.world_size(),
      .steps = step_,
      .epochs = epoch_,
      .wall_seconds = session_.start_up().since_process_start(),
      .samples_per_second = total.seconds > 0 ? static_cast<double>(total.samples) / total.seconds : 0,
      .step_seconds_p50 = clock_.histogram().quantile(0.5),
      .step_seconds_p95 = clock_.histogram().quantile(0.95),
      .exposed_comm_seconds = fraction_of_all(exposed[0], session_.world_size(), exposed[1] == session_.world_size()),
      .train_loss = train_loss_,
      .eval_loss = evaluation_->loss,
      .eval_accuracy = evaluation_->accuracy(),
      .weights_sha256 = digest,
      .communicator = std::string(model_.communicator().name()),
      .device = session_.device().str(),
      .capture = runner_.report(),
      .pieces = train_step_.pieces(),
      .memory = memory_of_ranks(),
      .versions = versions(session_),
      .resumed_from = resumed_from_,
      .start_up = session_.start_up().phases()};
  if (speaks() && !config_.summary.empty()) write_summary(config_.summary, summary);
  const std::string done = nothing_left() ? "nothing was trained"
                                          : "finished training: " + grouped(step_) + " steps, " +
                                                grouped(std::llround(summary.samples_per_second)) + " samples/s";
  report_.line(done + "; the model is " + model_path.string());
  return summary;
}

}  // namespace lockstep
