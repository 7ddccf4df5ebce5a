#include "lockstep/launchers/end_cause.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>

#include "lockstep/core/machine.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/launchers/follow_log.h"
#include "lockstep/launchers/mpi_report.h"
#include "lockstep/launchers/rank_exit.h"
#include "lockstep/launchers/table.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

// The part of a file from `offset` on, at most its last limit_bytes; "" when it cannot be read.
std::string read_from(const fs::path& path, std::uintmax_t offset, std::uintmax_t limit_bytes) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  if (error || size <= offset) return {};
  const std::uintmax_t begin = std::max(offset, size - std::min(size, limit_bytes));
  std::ifstream file(path, std::ios::binary);
  std::string text(size - begin, '\0');
  file.seekg(static_cast<std::streamoff>(begin));
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, file.gcount())));
  return text;
}

RankError read_rank_error(const fs::path& path) {
  const auto json = nlohmann::json::parse(read_file(path, 1 << 20));
  return {json.at("rank").get<int>(), json.value("host", ""),  json.value("kind", ""),
          json.value("what", ""),     json.value("where", ""), json.value("hint", "")};
}

std::string place(std::optional<int> rank, const std::string& host) {
  if (!rank) return "the program";
  return "rank " + std::to_string(*rank) + (host.empty() ? "" : " on " + host);
}

// The rank's own words, with rank and host in front unless they are part of them.
std::string sentence(const RankError& error) {
  const std::string who = place(error.rank, error.host);
  const std::string where = error.where.rfind("rank ", 0) == 0 || error.where.empty() ? "" : error.where + ": ";
  return who + ": " + where + error.what;
}

// What is known of the first rank that failed without its own words: from its keeper, else from mpirun.
std::optional<MpiReport> seen_from_outside(const fs::path& attempt_directory, const fs::path& mpi_log,
                                           std::uintmax_t offset) {
  if (const auto exit = first_rank_exit(attempt_directory)) {
    MpiReport report{exit->rank, exit->host, {}, {}, describe(exit->status)};
    if (exit->status.signal != 0)
      report.signal = exit->status.signal;
    else
      report.exit_code = exit->status.code;
    return report;
  }
  if (mpi_log.empty()) return {};
  return parse_mpi_report(read_from(mpi_log, offset, 1 << 20));
}

void add_disk_hint(const fs::path& run, EndCause& cause) {
  struct statvfs disk {};
  if (::statvfs(run.c_str(), &disk) != 0) return;
  const std::string hint = full_disk_hint(run, disk);
  if (!hint.empty()) cause.hint += (cause.hint.empty() ? "" : "; ") + hint;
}

EndCause cause_here(std::string reason, std::string message) {
  EndCause cause;
  cause.reason = std::move(reason);
  cause.host = host_name();
  cause.message = std::move(message);
  return cause;
}

}  // namespace

std::string full_disk_hint(const fs::path& path, const struct statvfs& disk) {
  constexpr std::uintmax_t kNextToNothing = 1 << 20;
  const std::uintmax_t left = std::uintmax_t{disk.f_bavail} * disk.f_frsize;
  if (disk.f_blocks > 0 && left < kNextToNothing)
    return "the disk of " + path.string() + " is full (" + std::to_string(left) + " bytes are left): make room on it";
  if (disk.f_files > 0 && disk.f_favail == 0)
    return "the disk of " + path.string() + " can take no more files (no inodes are left): remove some";
  return {};
}

std::optional<RankError> first_rank_error(const fs::path& attempt_directory) {
  std::optional<RankError> first;
  auto first_key = std::make_pair(true, fs::file_time_type::max());  // (only lost a peer, when)
  std::error_code error;
  for (fs::directory_iterator entry(attempt_directory, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.rfind(contract::kErrorPrefix, 0) != 0 || entry->path().extension() != ".json") continue;
    try {
      const RankError candidate = read_rank_error(entry->path());
      const auto key = std::make_pair(candidate.kind == "peer_lost", entry->last_write_time());
      if (first && first_key <= key) continue;
      first = candidate;
      first_key = key;
    } catch (const std::exception&) {
      // Torn or gone: another rank's file, or mpirun's message, says enough.
    }
  }
  return first;
}

std::vector<std::string> last_lines(const fs::path& log, std::size_t count) {
  static constexpr std::uintmax_t kTailBytes = 65536;
  const std::string text = read_from(log, 0, kTailBytes);
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    while (!line.empty() && line.back() == '\r') line.pop_back();
    if (const std::size_t rewritten = line.rfind('\r'); rewritten != std::string::npos) line.erase(0, rewritten + 1);
    std::replace(line.begin(), line.end(), '\t', ' ');
    lines.push_back(printable(line));
    begin = end + 1;
  }
  // What an earlier attempt wrote into the same file explains nothing (rank-exec begins a further one with this line).
  const auto mark = std::find_if(lines.rbegin(), lines.rend(),
                                 [](const std::string& line) { return line.rfind("--- attempt ", 0) == 0; });
  lines.erase(lines.begin(), mark.base());
  if (lines.size() > count) lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(count));
  return lines;
}

EndCause find_cause(const RunDirectory& run, int attempt, const ExitStatus& status, std::uintmax_t mpi_log_offset,
                    bool by_mpirun) {
  const fs::path mpi_log = run.path() / contract::kLogs / "70_mpi_log.txt";
  std::optional<MpiReport> seen =
      seen_from_outside(run.attempt_directory(attempt), by_mpirun ? mpi_log : fs::path(), mpi_log_offset);
  std::optional<RankError> reported = first_rank_error(run.attempt_directory(attempt));
  // A rank that only lost a peer knows less than who saw which one.
  if (reported && reported->kind == "peer_lost" && seen && seen->rank != reported->rank) reported.reset();

  EndCause cause;
  cause.reason = status.signal != 0 || (seen && seen->signal && !reported) ? "signal" : "exit_code";
  cause.exit_code = status.code;
  if (status.signal != 0) cause.signal = status.signal;
  if (reported) {
    cause.rank = reported->rank;
    cause.host = reported->host;
    cause.message = sentence(*reported);
    cause.hint = reported->hint;
    if (reported->kind == "usage") cause.exit_code = contract::kExitUsage;
  } else if (seen) {
    cause.rank = seen->rank;
    cause.host = seen->host.empty() ? host_name() : seen->host;
    if (seen->exit_code) cause.exit_code = seen->exit_code;
    if (seen->signal) cause.signal = seen->signal;
    cause.message = place(cause.rank, cause.host) + " " + seen->message;
  } else {
    if (!by_mpirun) cause.rank = 0;
    cause.host = host_name();
    cause.message = (by_mpirun ? std::string("mpirun") : place(cause.rank, cause.host)) + " " + describe(status);
  }
  cause.last_lines = last_lines(cause.rank ? rank_log_path(run, *cause.rank) : mpi_log);
  if (cause.last_lines.empty() && by_mpirun) cause.last_lines = last_lines(mpi_log);
  add_disk_hint(run.path(), cause);
  return cause;
}

EndCause completed_cause() {
  EndCause cause = cause_here("completed", "all ranks ended with exit code 0");
  cause.exit_code = 0;
  return cause;
}

EndCause canceled_cause(const std::string& who) { return cause_here("canceled", "canceled: asked for by " + who); }

EndCause time_limit_cause(const RunDirectory& run, std::int64_t seconds) {
  EndCause cause = cause_here("time_limit", "ended after max_run_duration_seconds = " + std::to_string(seconds));
  cause.hint = "raise it, or resume from the last checkpoint in outputs/checkpoints";
  cause.last_lines = last_lines(rank_log_path(run, 0));
  return cause;
}

EndCause supervisor_cause(const Error& error) {
  EndCause cause = cause_here("environment", (error.where.empty() ? "" : error.where + ": ") + error.what);
  cause.hint = error.hint;
  return cause;
}

}  // namespace lockstep
