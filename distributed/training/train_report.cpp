#include "lockstep/distributed/training/train_report.h"

#include <cstdio>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

constexpr auto kTerminalInterval = 200ms;
constexpr auto kRunInterval = 1s;
constexpr auto kPlainInterval = 10s;
constexpr int kPlainColumns = 120;

}  // namespace

TrainReport::TrainReport(Run& run, bool speaks) : run_(run), speaks_(speaks) {
  if (!speaks_) return;
  terminal_ = find_terminal();
  const auto now = std::chrono::steady_clock::now();
  next_progress_ = now + (terminal_.interactive ? kTerminalInterval : kRunInterval);
  next_plain_line_ = now + kPlainInterval;
}

TrainReport::~TrainReport() { clear(); }

void TrainReport::clear() {
  if (line_open_) std::fputs("\r\033[K", stdout);
  line_open_ = false;
}

void TrainReport::line(const std::string& text) {
  if (!speaks_) return;
  clear();
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
}

void TrainReport::loss(const LossPoint& point) {
  if (!speaks_) return;
  line(loss_line(point.epoch, point.batch, point.loss));
  run_.log("train/loss", point.loss, point.step);
  run_.log("train/learning_rate", point.learning_rate, point.step);
  if (point.gradient_norm) run_.log("train/gradient_norm", *point.gradient_norm, point.step);
  run_.log("train/samples_per_second", point.samples_per_second, point.step);
  if (point.exposed_fraction) run_.log("train/exposed_comm_fraction", *point.exposed_fraction, point.step);
  run_.log("train/waited_fraction", point.waited_fraction, point.step);
  run_.log("train/comm_bytes_per_step", point.bytes_per_step, point.step);
  if (!point.straggler.empty() && point.step >= next_straggler_step_) {
    line(point.straggler);
    next_straggler_step_ = 2 * point.step;  // ever more seldom: it will hardly change
  }
}

void TrainReport::evaluation(std::int64_t epoch, std::int64_t step, const Evaluation& evaluation) {
  if (!speaks_) return;
  char text[160];
  std::snprintf(text, sizeof text, "epoch=%lld, step=%lld: test loss %.4f, accuracy %.2f %% (%lld of %lld)",
                static_cast<long long>(epoch + 1), static_cast<long long>(step), evaluation.loss,
                100 * evaluation.accuracy(), static_cast<long long>(evaluation.correct),
                static_cast<long long>(evaluation.samples));
  line(text);
  run_.log("eval/loss", evaluation.loss, step);
  run_.log("eval/accuracy", evaluation.accuracy(), step);
}

void TrainReport::memory(const std::vector<MemoryUse>& of_ranks, std::int64_t step) {
  if (!speaks_) return;
  line(describe(of_ranks));
  for (const auto& [name, bytes] : named_values(of_ranks.front()))
    run_.log("memory/" + name, static_cast<double>(bytes), step);
}

void TrainReport::progress(const Progress& progress, std::chrono::steady_clock::time_point now) {
  if (!speaks_) return;
  if (!terminal_.interactive) {
    const std::string text = progress_line(progress, kPlainColumns);
    run_.show_progress(text);
    next_progress_ = now + kRunInterval;
    if (now < next_plain_line_) return;
    line(text);
    next_plain_line_ = now + kPlainInterval;
    return;
  }
  terminal_ = find_terminal();  // the window may have been resized
  clear();
  std::fputs(progress_line(progress, terminal_.columns).c_str(), stdout);
  std::fflush(stdout);
  line_open_ = true;
  next_progress_ = now + kTerminalInterval;
}

}  // namespace lockstep
