#include "lockstep/launchers/end_cause.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "lockstep/core/machine.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/launchers/follow_log.h"
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

ExitStatus status_of_signal(int signal) { return {128 + signal, signal}; }

// The words from `anchor` on, with single spaces between them: Open MPI breaks its lines where it likes. "" without anchor.
std::string words_from(std::string_view log, std::string_view anchor) {
  const std::size_t begin = log.find(anchor);
  if (begin == std::string_view::npos) return {};
  std::istringstream text{std::string(log.substr(begin, 1024))};
  std::string words;
  for (std::string word; text >> word;) words += (words.empty() ? "" : " ") + word;
  return words;
}

// The number that follows `label` in `words`.
std::optional<int> number_after(const std::string& words, std::string_view label) {
  const std::size_t found = words.find(label);
  int value = 0;
  if (found == std::string::npos || std::sscanf(words.c_str() + found + label.size(), " %d", &value) != 1) return {};
  return value;
}

// "process rank 1 with PID 0 on node vm exited on signal 9 (Killed)." and "… exiting improperly."
std::optional<MpiReport> parse_lost_process(std::string_view log) {
  int rank = 0, signal = 0, length = 0;
  char host[256];
  const std::string words = words_from(log, "process rank ");
  if (std::sscanf(words.c_str(), "process rank %d with PID %*d on node %255s %n", &rank, host, &length) < 2 || length == 0)
    return {};
  if (std::sscanf(words.c_str() + length, "exited on signal %d", &signal) == 1)
    return MpiReport{rank, host, {}, signal, describe(status_of_signal(signal))};
  if (words.compare(length, 18, "exiting improperly") == 0)
    return MpiReport{rank, host, {}, {}, "left the job without MPI_Finalize"};
  return {};
}

// "MPI_ABORT was invoked on rank 1 in communicator MPI_COMM_WORLD with errorcode 5." (5.x: "Errorcode: 5")
std::optional<MpiReport> parse_abort(std::string_view log) {
  const std::string words = words_from(log, "MPI_ABORT was invoked on rank");
  const auto rank = number_after(words, "on rank");
  auto code = number_after(words, "with errorcode");
  if (!code) code = number_after(words, "Errorcode:");
  if (!rank || !code) return {};
  return MpiReport{rank, {}, *code & 0xFF, {}, "called MPI_Abort with code " + std::to_string(*code)};
}

// "Process name: [[3763,1],1] Exit code: 3" (5.x: "Process name: [prterun-vm-123@1,1]")
std::optional<MpiReport> parse_exit_code(std::string_view log) {
  const std::string words = words_from(log, "Process name:");
  const std::size_t comma = words.substr(0, words.find(" Exit code:")).rfind(',');
  const auto code = number_after(words, "Exit code:");
  if (!code || comma == std::string::npos) return {};
  const auto rank = number_after(words.substr(comma), ",");
  if (!rank) return {};
  return MpiReport{rank, {}, code, {}, describe(ExitStatus{*code, 0})};
}

// "unable to launch the specified application … Executable: x Node: vm while attempting to start process rank 0."
std::optional<MpiReport> parse_start_failure(std::string_view log) {
  const std::string words = words_from(log, "Executable: ");
  char program[512], host[256];
  const auto rank = number_after(words, "start process rank");
  if (!rank || std::sscanf(words.c_str(), "Executable: %511s Node: %255s", program, host) != 2) return {};
  return MpiReport{rank, host, {}, {}, "could not be started: " + std::string(program) + " cannot be found or executed"};
}

RankError read_rank_error(const fs::path& path) {
  const auto json = nlohmann::json::parse(read_file(path, 1 << 20));
  return {json.at("rank").get<int>(),   json.value("host", ""),  json.value("kind", ""),
          json.value("what", ""),       json.value("where", ""), json.value("hint", "")};
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

}  // namespace

std::string describe(const ExitStatus& status) {
  if (status.signal == 0) return "exited with code " + std::to_string(status.code);
  return "was ended by signal " + std::to_string(status.signal) + " (" + ::strsignal(status.signal) + ")";
}

std::optional<MpiReport> parse_mpi_report(std::string_view log) {
  if (auto report = parse_abort(log)) return report;
  if (auto report = parse_exit_code(log)) return report;
  if (auto report = parse_start_failure(log)) return report;
  return parse_lost_process(log);
}

std::optional<RankError> first_rank_error(const fs::path& attempt_directory) {
  std::optional<RankError> first;
  auto first_key = std::make_pair(true, fs::file_time_type::max());   // (only lost a peer, when)
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
  if (lines.size() > count) lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(count));
  return lines;
}

EndCause find_cause(const RunDirectory& run, int attempt, const ExitStatus& status, std::uintmax_t mpi_log_offset,
                    bool by_mpirun) {
  const fs::path mpi_log = run.path() / contract::kLogs / "70_mpi_log.txt";
  std::optional<MpiReport> mpi;
  if (by_mpirun) mpi = parse_mpi_report(read_from(mpi_log, mpi_log_offset, 1 << 20));
  std::optional<RankError> reported = first_rank_error(run.attempt_directory(attempt));
  // A rank that only lost a peer knows less than mpirun, which saw which one.
  if (reported && reported->kind == "peer_lost" && mpi && mpi->rank != reported->rank) reported.reset();

  EndCause cause;
  cause.reason = status.signal != 0 || (mpi && mpi->signal && !reported) ? "signal" : "exit_code";
  cause.exit_code = status.code;
  if (status.signal != 0) cause.signal = status.signal;
  if (reported) {
    cause.rank = reported->rank;
    cause.host = reported->host;
    cause.message = sentence(*reported);
    cause.hint = reported->hint;
  } else if (mpi) {
    cause.rank = mpi->rank;
    cause.host = mpi->host.empty() ? host_name() : mpi->host;
    if (mpi->exit_code) cause.exit_code = mpi->exit_code;
    if (mpi->signal) cause.signal = mpi->signal;
    cause.message = place(cause.rank, cause.host) + " " + mpi->message;
  } else {
    if (!by_mpirun) cause.rank = 0;
    cause.host = host_name();
    cause.message = (by_mpirun ? std::string("mpirun") : place(cause.rank, cause.host)) + " " + describe(status);
  }
  cause.last_lines = last_lines(cause.rank ? rank_log_path(run, *cause.rank) : mpi_log);
  if (cause.last_lines.empty() && by_mpirun) cause.last_lines = last_lines(mpi_log);
  return cause;
}

}  // namespace lockstep
