#include "lockstep/core/run.h"

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "lockstep/core/event_file.h"
#include "lockstep/core/machine.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

int attempt_from_environment() {
  const std::string text = variable(contract::kAttempt);
  if (text.empty()) return 1;
  int attempt = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), attempt);
  if (code != std::errc() || end != text.data() + text.size() || attempt < 1) {
    fail(ErrorKind::usage,
         std::string(contract::kAttempt) + " is '" + text + "', expected a whole number of at least 1");
  }
  return attempt;
}

std::string attempt_name(int attempt) {
  char text[16];
  std::snprintf(text, sizeof text, "%03d", attempt);
  return text;
}

// Records never fail for bytes that are not UTF-8; they become U+FFFD.
std::string to_text(const ordered_json& json) {
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

// {"key": "value", …}; an absent file is an empty one.
ordered_json read_object(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return ordered_json::object();
  ordered_json json = ordered_json::parse(read_file(path, 16 << 20), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    fail(ErrorKind::corrupt_data, "not a JSON object", "restore it, or delete it to start anew", path.string());
  return json;
}

}  // namespace

struct Run::State {
  bool offline = true;
  std::string id = "offline";
  std::string experiment;
  int attempt = 1;
  fs::path directory;
  std::optional<fs::path> outputs, logs;  // set by the program
  std::optional<EventFileWriter> metrics;
  std::optional<Clock::time_point> failed_at;  // when the event file could not be made
  bool warned = false;
  std::map<std::string, std::int64_t, std::less<>> next_step;                       // of metrics logged without a step
  ordered_json tags = ordered_json::object(), properties = ordered_json::object();  // of an offline run

  fs::path attempt_directory() const { return directory / contract::kAttempts / attempt_name(attempt); }

  void warn_once(const std::string& why) {
    if (!std::exchange(warned, true))
      std::fprintf(stderr, "lockstep: metrics are lost (%s); training goes on\n", why.c_str());
  }

  // The event file, made at the first metric; absent while it cannot be. After a failure it is tried again now and
  // then: at each metric would cost training more than the metrics are worth.
  EventFileWriter* writer(const fs::path& logs_directory) {
    constexpr std::chrono::seconds kPause(30);
    if (metrics) return &*metrics;
    if (failed_at && Clock::now() - *failed_at < kPause) return nullptr;
    try {
      make_directories(logs_directory);
      metrics.emplace(logs_directory);
      return &*metrics;
    } catch (const std::exception& e) {
      failed_at = Clock::now();
      warn_once(to_error(e).what);
      return nullptr;
    }
  }

  std::int64_t step_for(std::string_view name, std::optional<std::int64_t> given) {
    if (given) return *given;
    const auto at = next_step.find(name);
    if (at != next_step.end()) return at->second++;
    next_step.emplace(name, 1);
    return 0;
  }
};

Run::Run(std::unique_ptr<State> state) : state_(std::move(state)) {}
Run::Run(Run&&) noexcept = default;
Run& Run::operator=(Run&&) noexcept = default;
Run::~Run() = default;

Run Run::none() {
  auto state = std::make_unique<State>();
  state->directory = fs::current_path();
  return Run(std::move(state));
}

Run Run::get_context(bool allow_offline) {
  const fs::path directory = variable(contract::kRunDir);
  if (directory.empty()) {
    if (!allow_offline) {
      fail(ErrorKind::usage, std::string("this process belongs to no run: ") + contract::kRunDir + " is not set",
           "start it with `lockstep submit`");
    }
    return none();
  }
  std::error_code ignored;
  if (!directory.is_absolute() || !fs::is_directory(directory, ignored)) {
    fail(ErrorKind::environment,
         std::string(contract::kRunDir) + " is " + directory.string() +
             ", which is no absolute path of a directory here",
         "the workspace must be visible under one path on every host of the run", host_name());
  }
  auto state = std::make_unique<State>();
  state->offline = false;
  state->directory = directory;
  state->id = variable(contract::kRunId);
  state->experiment = variable(contract::kExperiment);
  if (state->id.empty()) state->id = directory.filename().string();
  if (state->experiment.empty()) state->experiment = directory.parent_path().filename().string();
  state->attempt = attempt_from_environment();
  return Run(std::move(state));
}

bool Run::offline() const { return state_->offline; }
const std::string& Run::id() const { return state_->id; }
const std::string& Run::experiment() const { return state_->experiment; }
int Run::attempt() const { return state_->attempt; }
fs::path Run::directory() const { return state_->directory; }

fs::path Run::outputs_directory() const {
  fs::path path = state_->outputs.value_or(state_->directory / contract::kOutputs);
  make_directories(path);
  return path;
}

fs::path Run::logs_directory() const {
  fs::path path = state_->logs.value_or(state_->directory / contract::kLogs);
  make_directories(path);
  return path;
}

void Run::set_outputs_directory(fs::path path) { state_->outputs = fs::absolute(path).lexically_normal(); }

void Run::set_logs_directory(fs::path path) {
  if (state_->metrics)
    fail(ErrorKind::usage,
         "the logs directory is set after the first metric, which went to " + state_->metrics->path().string());
  state_->logs = fs::absolute(path).lexically_normal();
}

void Run::log(std::string_view name, double value, std::optional<std::int64_t> step) {
  const std::int64_t at = state_->step_for(name, step);
  EventFileWriter* writer = state_->writer(state_->logs.value_or(state_->directory / contract::kLogs));
  if (writer != nullptr && !writer->scalar(name, value, at))
    state_->warn_once("writing " + writer->path().string() + " fails");
}

void Run::log_list(std::string_view name, std::span<const double> values) {
  for (std::size_t i = 0; i < values.size(); ++i) log(name, values[i], static_cast<std::int64_t>(i));
}

void Run::log_text(std::string_view name, std::string_view value, std::optional<std::int64_t> step) {
  const std::int64_t at = state_->step_for(name, step);
  EventFileWriter* writer = state_->writer(state_->logs.value_or(state_->directory / contract::kLogs));
  if (writer != nullptr && !writer->text(name, value, at))
    state_->warn_once("writing " + writer->path().string() + " fails");
}

void Run::tag(const std::string& key, const std::string& value) {
  if (state_->offline) {
    state_->tags[key] = value;
    return;
  }
  const fs::path path = state_->directory / "tags.json";
  ordered_json tags = read_object(path);
  tags[key] = value;
  publish_file(path, to_text(tags));
}

void Run::add_property(const std::string& key, const std::string& value) {
  const fs::path path = state_->directory / "properties.json";
  ordered_json properties = state_->offline ? state_->properties : read_object(path);
  if (const auto known = properties.find(key); known != properties.end()) {
    if (*known == value) return;
    const std::string old = known->is_string() ? known->get<std::string>() : known->dump();
    fail(ErrorKind::usage, "the property " + key + " is '" + old + "' already and cannot become '" + value + "'",
         "properties are written once; a tag can change");
  }
  properties[key] = value;
  if (state_->offline) {
    state_->properties = std::move(properties);
  } else {
    publish_file(path, to_text(properties));
  }
}

void Run::mark_started() {
  if (state_->offline) return;
  make_directories(state_->attempt_directory());
  publish_file(state_->attempt_directory() / contract::kStarted, "");
}

void Run::show_progress(std::string_view line) noexcept try {
  if (state_->offline) return;
  const fs::path path = state_->attempt_directory() / contract::kProgress, next = path.string() + ".next";
  std::ofstream file(next, std::ios::binary | std::ios::trunc);
  file << line << '\n';
  file.close();
  if (file) fs::rename(next, path);
} catch (...) {
  // Nobody depends on it.
}

void Run::report_error(int rank, const Error& error) noexcept try {
  if (state_->offline) return;
  const ordered_json record = {{"rank", rank},       {"host", host_name()},  {"kind", error_kind_name(error.kind)},
                               {"what", error.what}, {"where", error.where}, {"hint", error.hint}};
  make_directories(state_->attempt_directory());
  const std::string name = contract::kErrorPrefix + std::to_string(rank) + ".json";
  // The first report stays: later ones of the same rank are consequences of it.
  (void)publish_new_file(state_->attempt_directory() / name, to_text(record));
} catch (...) {
  // The rank is about to end with an error anyway, and its own log holds the text.
}

}  // namespace lockstep
