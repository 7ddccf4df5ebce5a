// What a training says while it runs: lines for people, metrics for the run. Rank 0 speaks; on other ranks nothing
// happens.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/core/run.h"
#include "lockstep/distributed/training/evaluation.h"
#include "lockstep/distributed/training/memory_report.h"
#include "lockstep/distributed/training/progress_line.h"
#include "lockstep/distributed/training/terminal.h"

namespace lockstep {

// One closed window of the running loss.
struct LossPoint {
  std::int64_t epoch = 0;  // from 0
  std::int64_t batch = 0;  // mini-batches of this epoch so far
  std::int64_t step = 0;
  double loss = 0;
  double learning_rate = 0;
  std::optional<double> gradient_norm = {};  // of the last step, before clipping; where it was computed
  double samples_per_second = 0;
  std::optional<double> exposed_fraction = {};  // of the time in steps, after backward; where it is known
  double waited_fraction = 0;                   // the same, in all collectives
  double bytes_per_step = 0;                    // that rank 0 handed to collectives
  std::string straggler = {};                   // a line about the rank for which others wait, or ""
};

class TrainReport {
 public:
  TrainReport(Run& run, bool speaks);
  ~TrainReport();
  TrainReport(const TrainReport&) = delete;
  TrainReport& operator=(const TrainReport&) = delete;

  void line(const std::string& text);
  // The tutorial's line and train/loss, train/learning_rate, train/gradient_norm (where known),
  // train/samples_per_second, train/exposed_comm_fraction, train/waited_fraction, train/comm_bytes_per_step at
  // point.step.
  void loss(const LossPoint& point);
  // A line and eval/loss, eval/accuracy.
  void evaluation(std::int64_t epoch, std::int64_t step, const Evaluation& evaluation);

  // A line, and rank 0's numbers as memory/weights, memory/gradients, … (memory_report.h), in bytes.
  void memory(const std::vector<MemoryUse>& of_ranks, std::int64_t step);

  // Whether progress is to be shown at `now`: five times per second on a terminal; elsewhere once per second to the
  // run, and a line per ten seconds. Cheap enough for every step.
  bool progress_due(std::chrono::steady_clock::time_point now) const { return now >= next_progress_; }
  void progress(const Progress& progress, std::chrono::steady_clock::time_point now);

 private:
  void clear();
  std::int64_t next_straggler_step_ = 0;
  Run& run_;
  bool speaks_;
  Terminal terminal_;
  bool line_open_ = false;  // a progress line stands on the terminal and will be written over
  std::chrono::steady_clock::time_point next_progress_ = std::chrono::steady_clock::time_point::max(), next_plain_line_;
};

}  // namespace lockstep
