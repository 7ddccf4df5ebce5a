// The run that a process belongs to, its directories, and what it tells its supervisor.
#include "lockstep/core/run.h"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "lockstep/core/machine.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/run_state.h"
#include "lockstep/core/run_store.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

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

}  // namespace

fs::path Run::State::attempt_directory() const { return directory / contract::kAttempts / attempt_name(attempt); }

Run::Run(std::unique_ptr<State> state) : state_(std::move(state)) {}
Run::Run(Run&&) noexcept = default;
Run& Run::operator=(Run&&) noexcept = default;
Run::~Run() = default;

Run Run::none() {
  auto state = std::make_unique<State>();
  state->directory = fs::current_path();
  return Run(std::move(state));
}

Run Run::open(const RunDirectory& directory) {
  auto state = std::make_unique<State>();
  state->offline = false;
  state->directory = directory.path();
  state->id = directory.id();
  state->experiment = directory.experiment();
  state->logs = false;
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
  fs::path path = state_->outputs_given.value_or(state_->directory / contract::kOutputs);
  make_directories(path);
  return path;
}

fs::path Run::logs_directory() const {
  fs::path path = state_->logs_directory();
  make_directories(path);
  return path;
}

void Run::set_outputs_directory(fs::path path) { state_->outputs_given = fs::absolute(path).lexically_normal(); }

void Run::set_logs_directory(fs::path path) {
  if (state_->metrics)
    fail(ErrorKind::usage,
         "the logs directory is set after the first metric, which went to " + state_->metrics->path().string());
  state_->logs_given = fs::absolute(path).lexically_normal();
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
