#include "lockstep/launchers/mpi_report.h"

#include <cstdio>
#include <cstring>
#include <sstream>

namespace lockstep {
namespace {

ExitStatus status_of_signal(int signal) { return {128 + signal, signal}; }

// The words from `anchor` on, with single spaces between them: Open MPI breaks its lines where it likes. "" without
// anchor.
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
  if (std::sscanf(words.c_str(), "process rank %d with PID %*d on node %255s %n", &rank, host, &length) < 2 ||
      length == 0)
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
  return MpiReport{
      rank, host, {}, {}, "could not be started: " + std::string(program) + " cannot be found or executed"};
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

}  // namespace lockstep
