#include "lockstep/launchers/shared_build.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>

#include "lockstep/core/claim.h"
#include "lockstep/core/file_descriptor.h"
#include "lockstep/core/machine.h"
#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/run_store.h"
#include "lockstep/core/words.h"
#include "lockstep/launchers/follow_log.h"
#include "lockstep/launchers/mpi_report.h"
#include "lockstep/launchers/process_tree.h"
#include "lockstep/launchers/run_text.h"
#include "lockstep/launchers/table.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Lines = std::vector<std::string>;

constexpr const char* kRecord = "environment.json";
constexpr const char* kBuildVariable = "LOCKSTEP_BUILD";  // in each step's environment: whose leftovers these are
constexpr double kTickSeconds = 0.1;
constexpr double kRenewSeconds = 5;
constexpr double kGraceSeconds = 2;

fs::path beside(const fs::path& directory, const char* ending) { return directory.string() + ending; }

std::string text_of(const fs::path& file) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return {};
  try {
    return read_file(file, std::size_t{64} << 20);
  } catch (const Failure&) {
    return {};
  }
}

std::string dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

// One build, by the process that holds the claim.
class Builder {
 public:
  Builder(const BuildPlan& plan, const BuildRequest& request, WaitSignals& signals, const BuildCallbacks& callbacks,
          Claim claim)
      : plan_(plan),
        request_(request),
        signals_(signals),
        callbacks_(callbacks),
        claim_(std::move(claim)),
        log_path_(beside(plan.directory, ".log")),
        tail_(log_path_) {}

  std::optional<Json> build() {
    callbacks_.on_detail("building " + plan_.title);
    end_leftovers();
    remove_directory();
    try {
      const bool done = prepare() && run_steps();
      if (!done) remove_directory();
      return done ? std::optional(finish()) : std::nullopt;
    } catch (const BuildFailure& failure) {
      remember(failure);
      remove_directory();
      throw;
    } catch (const std::exception&) {
      remove_directory();
      throw;
    }
  }

 private:
  // Of a builder that was killed: its steps must not write into what is built now.
  void end_leftovers() const {
    for (const pid_t pid : processes_with_environment(kBuildVariable, plan_.directory.string())) ::kill(pid, SIGKILL);
  }

  void remove_directory() const {
    std::error_code ignored;
    for (fs::recursive_directory_iterator entry(plan_.directory, ignored), end; !ignored && entry != end;
         entry.increment(ignored)) {
      std::error_code unimportant;
      if (entry->is_directory(unimportant) && !entry->is_symlink(unimportant))
        fs::permissions(entry->path(), fs::perms::owner_all, fs::perm_options::add, unimportant);
    }
    fs::remove_all(plan_.directory, ignored);
  }

  // False: stopped.
  bool prepare() {
    log_ = FileDescriptor(::open(log_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
    if (!log_) fail_errno("cannot write " + log_path_.string());
    make_directories(plan_.directory);
    for (const auto& [name, text] : plan_.files) {
      make_directories((plan_.directory / name).parent_path());
      publish_file(plan_.directory / name, text);
    }
    if (plan_.with_source)
      fs::copy(request_.source, plan_.directory / "source",
               fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    return !callbacks_.wants_stop();
  }

  void say(const std::string& text) const {
    [[maybe_unused]] const auto written = ::write(log_.get(), text.data(), text.size());
  }

  bool run_steps() {
    for (const BuildStep& step : plan_.steps) {
      say("--- " + step.title + "\n$ " + quote_words(step.argv) + "\n");
      const auto status = run(step);
      if (!status) return false;
      if (status->code != 0) fail_step(step, *status);
    }
    return true;
  }

  std::optional<ExitStatus> run(const BuildStep& step) {
    ProcessSpec spec;
    spec.argv = step.argv;
    spec.environment = request_.variables;
    (*spec.environment)[kBuildVariable] = plan_.directory.string();
    if (!request_.run_id.empty()) (*spec.environment)[contract::kRunId] = request_.run_id;
    spec.directory = plan_.directory;
    spec.standard_output = spec.standard_error = log_.get();
    spec.new_session = spec.die_with_parent = true;
    std::error_code error;
    step_begin_ = fs::file_size(log_path_, error);
    const auto started = start_process(spec);
    if (!started) {
      say(started.error().what + "\n");
      callbacks_.on_text(tail_.read_new());
      Error problem = started.error();
      if (!step.hint.empty()) problem.hint = step.hint + (problem.hint.empty() ? "" : "; " + problem.hint);
      throw BuildFailure(problem, {started.error().what});
    }
    while (true) {
      const auto status = reap_children(*started);
      pass_on_output();
      if (status) return status;
      tick();
      if (callbacks_.wants_stop()) {
        stop_launcher(*started, kGraceSeconds, signals_, [this] { tick(); });
        end_leftovers();
        say("--- stopped\n");
        pass_on_output();
        return {};
      }
      signals_.wait(kTickSeconds);
    }
  }

  void pass_on_output() {
    for (std::string text = tail_.read_new(); !text.empty(); text = tail_.read_new()) callbacks_.on_text(text);
  }

  void tick() {
    callbacks_.on_tick();
    if (unix_time() - renewed_ < kRenewSeconds) return;
    renewed_ = unix_time();
    claim_.renew();
  }

  [[noreturn]] void fail_step(const BuildStep& step, const ExitStatus& status) {
    const std::string output = text_of(log_path_);
    const Lines lines = telling_lines(output.substr(std::min<std::size_t>(step_begin_, output.size())));
    std::string what = plan_.title + " could not be built: " + step.title + " " + describe(status);
    const auto is_error = [](const std::string& line) {
      return line.rfind("ERROR: ", 0) == 0 || line.find("error:") != std::string::npos;
    };
    if (const auto telling = std::find_if(lines.begin(), lines.end(), is_error); telling != lines.end())
      what += ": " + *telling;
    throw BuildFailure({ErrorKind::environment, what, {}, step.hint}, lines);
  }

  void remember(const BuildFailure& failure) const {
    const Error& error = failure.error();
    publish_file(beside(plan_.directory, ".failed.json"), dump({{"format", 1},
                                                                {"time", unix_time()},
                                                                {"run", request_.run_id},
                                                                {"what", error.what},
                                                                {"hint", error.hint},
                                                                {"last_lines", failure.last_lines()}}));
  }

  Json finish() {
    Json record{{"format", 1},
                {"title", plan_.title},
                {"directory", plan_.directory.string()},
                {"built", unix_time()},
                {"seconds", unix_time() - begin_},
                {"host", host_name()},
                {"user", user_name()},
                {"run", request_.run_id}};
    if (callbacks_.on_built) callbacks_.on_built(record);
    publish_file(plan_.directory / kRecord, dump(record));
    std::error_code ignored;
    fs::remove(beside(plan_.directory, ".failed.json"), ignored);
    say("--- done\n");
    pass_on_output();
    return record;
  }

  const BuildPlan& plan_;
  const BuildRequest& request_;
  WaitSignals& signals_;
  const BuildCallbacks& callbacks_;
  Claim claim_;
  const fs::path log_path_;
  FileDescriptor log_;
  LogTail tail_;
  std::uintmax_t step_begin_ = 0;
  const double begin_ = unix_time();
  double renewed_ = begin_;
};

[[noreturn]] void fail_as_before(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) fail(ErrorKind::environment, "the build that this one waited for has failed");
  Error error{ErrorKind::environment, json.value("what", ""), {}, json.value("hint", "")};
  if (const std::string run = json.value("run", ""); !run.empty()) error.what += " (built by run " + run + ")";
  throw BuildFailure(error, json.value("last_lines", Lines{}));
}

}  // namespace

Json to_json(const BuildPlan& plan) {
  Json steps = Json::array();
  for (const BuildStep& step : plan.steps)
    steps.push_back({{"title", step.title}, {"argv", step.argv}, {"hint", step.hint}});
  return {{"title", plan.title},
          {"directory", plan.directory.string()},
          {"files", plan.files},
          {"with_source", plan.with_source},
          {"steps", std::move(steps)}};
}

BuildPlan build_plan_from_json(const Json& json) try {
  BuildPlan plan;
  plan.title = json.at("title").get<std::string>();
  plan.directory = json.at("directory").get<std::string>();
  json.at("files").get_to(plan.files);
  json.at("with_source").get_to(plan.with_source);
  for (const Json& step : json.at("steps"))
    plan.steps.push_back(
        {step.at("title").get<std::string>(), step.at("argv").get<Lines>(), step.value("hint", std::string())});
  return plan;
} catch (const Json::exception& e) {
  fail(ErrorKind::corrupt_data, std::string("not a build plan: ") + e.what());
}

std::optional<Json> built_record(const fs::path& directory) {
  const Json json = Json::parse(text_of(directory / kRecord), nullptr, false);
  return json.is_object() ? std::optional(json) : std::nullopt;
}

std::optional<Json> shared_build(const BuildPlan& plan, const BuildRequest& request, WaitSignals& signals,
                                 const BuildCallbacks& callbacks) {
  make_directories(plan.directory.parent_path());
  const fs::path claim_file = beside(plan.directory, ".claim"), failure_file = beside(plan.directory, ".failed.json");
  const std::string earlier_failure = text_of(failure_file);
  LogTail tail(beside(plan.directory, ".log"));
  for (bool waited = false;; waited = true) {
    if (auto record = request.force && !waited ? std::nullopt : built_record(plan.directory)) {
      if (waited) callbacks.on_text(tail.read_new());
      const double age = unix_time() - record->value("built", 0.0);
      callbacks.on_detail(plan.title + " is there, built " + format_age(age));
      return record;
    }
    if (auto claim = Claim::try_take(claim_file)) {
      if (waited && built_record(plan.directory)) continue;  // the claim is given back after the record was written
      if (const std::string failure = text_of(failure_file); waited && failure != earlier_failure && !failure.empty()) {
        callbacks.on_text(tail.read_new());
        fail_as_before(failure);
      }
      return Builder(plan, request, signals, callbacks, std::move(*claim)).build();
    }
    if (!waited) {
      const auto owner = Claim::owner(claim_file);
      callbacks.on_detail("waiting for " + plan.title + ", built by " + (owner ? owner->describe() : "another run"));
    }
    callbacks.on_text(tail.read_new());
    callbacks.on_tick();
    if (callbacks.wants_stop()) return {};
    signals.wait(2 * kTickSeconds);
  }
}

Lines telling_lines(const std::string& output, std::size_t count) {
  Lines lines;
  for (std::size_t begin = 0; begin < output.size();) {
    const std::size_t end = std::min(output.find('\n', begin), output.size());
    std::string line = output.substr(begin, end - begin);
    begin = end + 1;
    while (!line.empty() && line.back() == '\r') line.pop_back();
    if (const std::size_t rewritten = line.rfind('\r'); rewritten != std::string::npos) line.erase(0, rewritten + 1);
    std::replace(line.begin(), line.end(), '\t', ' ');
    lines.push_back(printable(line));
  }
  const auto begins_error = [](const std::string& line) {
    return line.find(": error:") != std::string::npos || line.find(": fatal error:") != std::string::npos ||
           line.find("error: ") == 0 || line.rfind("ERROR: ", 0) == 0 || line.rfind("CMake Error", 0) == 0 ||
           line.find("undefined reference to") != std::string::npos;
  };
  constexpr std::size_t kContext = 3;  // the line of code and the mark under it
  Lines telling;
  std::size_t next = 0;
  for (std::size_t i = 0; i < lines.size() && telling.size() < count; ++i) {
    if (!begins_error(lines[i])) continue;
    for (std::size_t j = std::max(next, i); j < std::min(i + kContext + 1, lines.size()) && telling.size() < count; ++j)
      if (!lines[j].empty()) telling.push_back(lines[j]);
    next = i + kContext + 1;
  }
  if (!telling.empty()) return telling;
  if (lines.size() > count) lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(count));
  return lines;
}

}  // namespace lockstep
