#include "lockstep/launchers/run_text.h"

#include <algorithm>
#include <fstream>

#include "lockstep/core/run_contract.h"

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

std::string progress_text(const RunDirectory& run, const RunSummary& summary) {
  if (summary.status != RunStatus::Running || summary.attempts < 1) return "";
  constexpr std::size_t kLongest = 400;
  std::ifstream file(run.attempt_directory(summary.attempts) / contract::kProgress);
  std::string line;
  if (!std::getline(file, line)) return "";
  return printable(line.substr(0, kLongest));
}

std::string fit_fields(const std::string& line, int columns) {
  std::string text = line;
  while (columns > 0 && text_width(text) > static_cast<std::size_t>(columns)) {
    const std::size_t end = text.rfind("  ");
    if (end == std::string::npos || end == 0) return text.substr(0, static_cast<std::size_t>(columns));
    text.erase(text.find_last_not_of(' ', end) + 1);
  }
  return text;
}

}  // namespace lockstep
