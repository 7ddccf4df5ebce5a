// What a run logs: numbers and texts, into one event file.
#include <chrono>
#include <cstdio>
#include <utility>

#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/run_state.h"

namespace lockstep {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

fs::path Run::State::logs_directory() const { return logs_given.value_or(directory / contract::kLogs); }

void Run::State::warn_once(const std::string& why) {
  if (!std::exchange(warned, true))
    std::fprintf(stderr, "lockstep: metrics are lost (%s); training goes on\n", why.c_str());
}

// After a failure it is tried again now and then: at each metric would cost training more than the metrics are worth.
EventFileWriter* Run::State::writer() {
  constexpr std::chrono::seconds kPause(30);
  if (!logs || !writes) return nullptr;
  if (metrics) return &*metrics;
  if (failed_at && Clock::now() - *failed_at < kPause) return nullptr;
  try {
    make_directories(logs_directory());
    metrics.emplace(logs_directory());
    return &*metrics;
  } catch (const std::exception& e) {
    failed_at = Clock::now();
    warn_once(to_error(e).what);
    return nullptr;
  }
}

std::int64_t Run::State::step_for(std::string_view name, std::optional<std::int64_t> given) {
  if (given) return *given;
  const auto at = next_step.find(name);
  if (at != next_step.end()) return at->second++;
  next_step.emplace(name, 1);
  return 0;
}

void Run::set_writer(bool writes) { state_->writes = writes; }

void Run::log(std::string_view name, double value, std::optional<std::int64_t> step) {
  const std::int64_t at = state_->step_for(name, step);
  EventFileWriter* writer = state_->writer();
  if (writer != nullptr && !writer->scalar(name, value, at))
    state_->warn_once("writing " + writer->path().string() + " fails");
}

void Run::log_list(std::string_view name, std::span<const double> values) {
  for (std::size_t i = 0; i < values.size(); ++i) log(name, values[i], static_cast<std::int64_t>(i));
}

void Run::log_text(std::string_view name, std::string_view value, std::optional<std::int64_t> step) {
  const std::int64_t at = state_->step_for(name, step);
  EventFileWriter* writer = state_->writer();
  if (writer != nullptr && !writer->text(name, value, at))
    state_->warn_once("writing " + writer->path().string() + " fails");
}

}  // namespace lockstep
