// What a Run holds. For the files that define its members (run.cpp, run_logging.cpp, run_labels.cpp, …) alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "lockstep/core/event_file.h"
#include "lockstep/core/run.h"

namespace lockstep {

class InteractiveRun;
Run adopt(Run run, std::shared_ptr<InteractiveRun> begun);

struct Run::State {
  bool offline = true;
  std::string id = "offline";
  std::string experiment;
  int attempt = 1;
  std::filesystem::path directory;
  bool logs = true;    // false: opened from outside the job; its metrics have another writer
  bool writes = true;  // set_writer

  std::optional<std::filesystem::path> outputs_given, logs_given;  // set by the program
  std::optional<EventFileWriter> metrics;
  std::optional<std::chrono::steady_clock::time_point> failed_at;  // when the event file could not be made
  bool warned = false;
  std::map<std::string, std::int64_t, std::less<>> next_step;  // of metrics logged without a step
  std::shared_ptr<InteractiveRun> interactive;                 // of a run that this process has begun itself
  nlohmann::ordered_json tags = nlohmann::ordered_json::object(), properties = tags;  // of an offline run

  std::filesystem::path attempt_directory() const;  // attempts/003
  std::filesystem::path logs_directory() const;     // not made yet

  // The event file, made at the first metric; nullptr when this process does not log, or the file cannot be made (said
  // once; tried again now and then).
  EventFileWriter* writer();
  // Hands it to `record`, which returns whether it has written; warns once where it has not.
  void write(const std::function<bool(EventFileWriter&)>& record);
  // Kept as it is, and shown as text.
  void log_chart(std::string_view name, const nlohmann::ordered_json& value);
  void warn_once(const std::string& why);
  // The step of the next point of `name`: the one given, else 0, 1, 2, …
  std::int64_t step_for(std::string_view name, std::optional<std::int64_t> given);

  // `run`, which from now on logs into the run that this process has begun, and ends it with the handle.
  static Run adopt(Run run, std::shared_ptr<InteractiveRun> begun) {
    run.state_->logs = true;
    run.state_->interactive = std::move(begun);
    return run;
  }
  friend Run adopt(Run run, std::shared_ptr<InteractiveRun> begun) {
    return State::adopt(std::move(run), std::move(begun));
  }
};

// On one line; what is not UTF-8 becomes U+FFFD.
std::string to_line(const nlohmann::ordered_json& json);

}  // namespace lockstep
