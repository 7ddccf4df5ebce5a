#include "lockstep/launchers/run_text.h"

namespace lockstep {

Cell status_cell(RunStatus status) {
  Colour colour = Colour::yellow;
  if (status == RunStatus::Completed) colour = Colour::green;
  if (status == RunStatus::Failed || status == RunStatus::NotResponding) colour = Colour::red;
  if (status == RunStatus::Canceled) colour = Colour::dim;
  return {std::string(status_name(status)), colour};
}

std::string format_age(double seconds) { return format_duration(seconds) + " ago"; }

std::string duration_text(const RunSummary& run, double now) {
  if (run.started <= 0) return "-";
  if (run.ended > 0) return format_duration(run.ended - run.started);
  return run.status == RunStatus::NotResponding ? "?" : format_duration(now - run.started);
}

std::string ranks_text(const RunSummary& run) {
  return std::to_string(run.node_count) + "x" + std::to_string(run.process_count_per_node);
}

std::string status_line(const RunSummary& run) {
  const std::string status(status_name(run.status));
  return run.detail.empty() ? status : status + ": " + run.detail;
}

}  // namespace lockstep
