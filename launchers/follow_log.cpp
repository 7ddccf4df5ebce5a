#include "lockstep/launchers/follow_log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <sstream>

#include "lockstep/core/lost_run.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/launchers/run_text.h"
#include "lockstep/launchers/table.h"
#include "lockstep/launchers/wait_signals.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr double kTickSeconds = 0.1;
constexpr double kLivenessSeconds = 1;

// The logs that are meant, each with what stands before its lines.
struct Source {
  LogTail tail;
  std::string prefix;
  std::string unfinished;  // a line whose end is still to come; only with a prefix

  bool print_new(std::ostream& out) {
    const std::string text = tail.read_new();
    if (text.empty()) return false;
    if (prefix.empty()) {
      out << text;
      return true;
    }
    unfinished += text;
    std::size_t begin = 0;
    for (std::size_t end; (end = unfinished.find('\n', begin)) != std::string::npos; begin = end + 1)
      out << prefix << std::string_view(unfinished).substr(begin, end + 1 - begin);
    unfinished.erase(0, begin);
    return true;
  }

  void finish(std::ostream& out) {
    if (!unfinished.empty()) out << prefix << unfinished << '\n';
    unfinished.clear();
  }
};

std::vector<Source> open_sources(const RunDirectory& run, const LogSelection& selection) {
  std::vector<Source> sources;
  if (selection.mpi)
    sources.push_back({LogTail(run.path() / contract::kLogs / "70_mpi_log.txt"), "", ""});
  else if (!selection.all_ranks)
    sources.push_back({LogTail(rank_log_path(run, selection.rank)), "", ""});
  if (!selection.all_ranks) return sources;
  const RunSummary summary = run.summary();
  const int world_size = summary.node_count * summary.process_count_per_node;
  for (int rank = 0; rank < world_size; ++rank)
    sources.push_back({LogTail(rank_log_path(run, rank)), "[" + std::to_string(rank) + "] ", ""});
  return sources;
}

bool print_new(std::vector<Source>& sources, std::ostream& out) {
  bool any = false;
  for (Source& source : sources) any = source.print_new(out) || any;
  if (any) out.flush();
  return any;
}

void print_rest(std::vector<Source>& sources, std::ostream& out) {
  while (print_new(sources, out)) {
  }
  for (Source& source : sources) source.finish(out);
  out.flush();
}

// Looks at events.jsonl only when it grew, and once a second whether the supervisor is there.
class StatusWatch {
 public:
  explicit StatusWatch(const RunDirectory& run) : run_(run) {}

  // True when `summary` may have changed and was read again.
  bool refresh(RunSummary& summary) {
    struct stat status {};
    const off_t size = ::stat((run_.path() / "events.jsonl").c_str(), &status) == 0 ? status.st_size : 0;
    const double now = unix_time();
    if (size == size_ && now < next_) return false;
    size_ = size;
    next_ = now + kLivenessSeconds;
    summary = run_.summary();
    return true;
  }

 private:
  const RunDirectory& run_;
  off_t size_ = -1;
  double next_ = 0;
};

// How far the run is, on the last line of a terminal and written over by whatever is printed next.
class ProgressDisplay {
 public:
  ProgressDisplay(const RunDirectory& run, bool wanted) : run_(run), shown_(wanted && ::isatty(STDOUT_FILENO) == 1) {}

  void clear() {
    if (!text_.empty()) std::cout << "\r\033[K" << std::flush;
    text_.clear();
  }

  // After something was printed, or after `kSeconds`.
  void update(const RunSummary& summary) {
    constexpr double kSeconds = 0.5;
    const double now = unix_time();
    if (!shown_ || (!text_.empty() && now < next_)) return;
    next_ = now + kSeconds;
    const int width = TerminalStyle::of(STDOUT_FILENO).width;  // the window may have been resized
    const std::string text = fit_fields(progress_text(run_, summary), width - 1);
    if (text == text_) return;
    clear();
    std::cout << (text_ = text) << std::flush;
  }

 private:
  const RunDirectory& run_;
  bool shown_;
  std::string text_;
  double next_ = 0;
};

int leave_running(const RunDirectory& run) {
  std::cerr << "\nrun " << run.id() << " goes on\n  see it again:  lockstep logs " << run.id()
            << " --follow\n  end it:        lockstep cancel " << run.id() << '\n';
  return 130;
}

}  // namespace

fs::path rank_log_path(const RunDirectory& run, int rank) {
  return run.path() / contract::kLogs /
         (rank == 0 ? "70_driver_log.txt" : "70_driver_log_" + std::to_string(rank) + ".txt");
}

int follow_run(const RunDirectory& run, const FollowOptions& options) {
  WaitSignals signals(/*child=*/false, /*stop=*/true);
  std::vector<Source> sources = open_sources(run, options.logs);
  StatusWatch watch(run);
  RunSummary summary;
  std::string said;
  ProgressDisplay progress(run, options.progress);
  bool line_open = false;
  while (true) {
    // The status first, then the logs: what was logged before the end is never missed.
    if (watch.refresh(summary)) {
      if (is_settled(run, summary)) break;
      if (const std::string line = status_line(summary); options.status_lines && line != said) {
        progress.clear();
        std::cerr << (said = line) << std::endl;
      }
    }
    std::ostringstream fresh;
    const bool printed = print_new(sources, fresh);
    if (printed) {
      progress.clear();
      std::cout << fresh.view() << std::flush;
      line_open = fresh.view().back() != '\n';  // half a line is not to be written over
    }
    if (signals.stop_signal() != 0) {
      progress.clear();
      return leave_running(run);
    }
    if (!line_open) progress.update(summary);
    if (!printed) signals.wait(kTickSeconds);
  }
  progress.clear();
  print_rest(sources, std::cout);
  if (options.summary) std::cerr << end_summary(run, summary) << std::flush;
  return exit_code_of(summary);
}

void print_logs(const RunDirectory& run, const LogSelection& selection, std::ostream& out) {
  std::vector<Source> sources = open_sources(run, selection);
  for (Source& source : sources) {
    while (source.print_new(out)) {
    }
    source.finish(out);
  }
  out.flush();
}

std::string end_summary(const RunDirectory& run, const RunSummary& summary) {
  const TerminalStyle style = TerminalStyle::of(STDERR_FILENO);
  std::ostringstream text;
  const auto line = [&](const char* name, const std::string& value) { text << "  " << name << value << '\n'; };
  const Cell status = status_cell(summary.status);
  text << "run " << summary.id << ": " << coloured(status.text, status.colour, style) << '\n';
  if (summary.cause && !summary.cause->message.empty())
    line("cause      ", printable(summary.cause->message));
  else if (!summary.detail.empty())
    line("cause      ", printable(summary.detail));
  if (summary.cause && !summary.cause->hint.empty()) line("to do      ", printable(summary.cause->hint));
  if (summary.ended > 0 && summary.started > 0) line("duration   ", format_duration(summary.ended - summary.started));
  if (summary.attempts > 1) line("attempts   ", std::to_string(summary.attempts));
  line("outputs    ", (run.path() / contract::kOutputs).string());
  line("logs       ", (run.path() / contract::kLogs).string());
  if (summary.status == RunStatus::Failed && summary.cause && !summary.cause->last_lines.empty()) {
    text << "  last lines" << (summary.cause->rank ? " of rank " + std::to_string(*summary.cause->rank) : "") << '\n';
    for (const std::string& last : summary.cause->last_lines) text << "    | " << printable(last) << '\n';
  }
  return text.str();
}

int exit_code_of(const RunSummary& summary) {
  if (summary.status == RunStatus::Completed) return 0;
  if (summary.cause && summary.cause->exit_code.value_or(0) != 0) return *summary.cause->exit_code;
  if (summary.cause && summary.cause->signal) return 128 + *summary.cause->signal;
  return 1;
}

}  // namespace lockstep
