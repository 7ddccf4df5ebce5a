// The statuses of a run and the moves between them.
#include <algorithm>
#include <array>

#include "lockstep/core/run_store.h"

namespace lockstep {
namespace {

constexpr std::array<std::string_view, 13> kNames{
    "NotStarted",      "Starting",  "Provisioning", "Preparing", "Queued", "Running",       "Finalizing",
    "CancelRequested", "Completed", "Failed",       "Canceled",  "Paused", "NotResponding",
};

bool is_before_work(RunStatus status) { return status <= RunStatus::Queued || status == RunStatus::Paused; }

}  // namespace

std::string_view status_name(RunStatus status) { return kNames.at(static_cast<std::size_t>(status)); }

std::optional<RunStatus> parse_status(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return {};
  return static_cast<RunStatus>(found - kNames.begin());
}

bool is_terminal(RunStatus status) {
  return status == RunStatus::Completed || status == RunStatus::Failed || status == RunStatus::Canceled;
}

bool may_follow(RunStatus from, RunStatus to) {
  if (is_terminal(from)) return false;
  if (from == to || from == RunStatus::NotResponding || to == RunStatus::NotResponding) return true;
  switch (to) {
    case RunStatus::Failed:
    case RunStatus::Canceled:
    case RunStatus::CancelRequested:
      return true;
    case RunStatus::NotStarted:
      return false;
    case RunStatus::Completed:
      return from == RunStatus::Running || from == RunStatus::Finalizing || from == RunStatus::CancelRequested;
    case RunStatus::Finalizing:
      return from != RunStatus::NotStarted;  // also from Starting: a program that ends before, or without, a first step
    default:  // before work, Running, Paused: everything but a cancellation may lead there
      return from != RunStatus::CancelRequested && (to != RunStatus::Running || is_before_work(from));
  }
}

}  // namespace lockstep
