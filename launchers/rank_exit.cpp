#include "lockstep/launchers/rank_exit.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "lockstep/core/machine.h"
#include "lockstep/core/publish.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr const char* kExitPrefix = "exit_";

void record(const fs::path& attempt_directory, int rank, const ExitStatus& status) noexcept try {
  const nlohmann::ordered_json json{
      {"rank", rank}, {"host", host_name()}, {"exit_code", status.code}, {"signal", status.signal}};
  fs::create_directories(attempt_directory);
  publish_file(attempt_directory / (kExitPrefix + std::to_string(rank) + ".json"), json.dump() + "\n");
} catch (...) {
  // A full disk: the supervisor then knows what mpirun says.
}

[[noreturn]] void end_as(const ExitStatus& status) {
  if (status.signal == 0) ::_exit(status.code);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);  // the program's core is the one of interest
  ::signal(status.signal, SIG_DFL);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, status.signal);
  ::raise(status.signal);
  ::sigprocmask(SIG_UNBLOCK, &one, nullptr);
  ::_exit(status.code);
}

RankExit read_exit(const fs::path& path) {
  const auto json = nlohmann::json::parse(read_file(path, 65536));
  return {json.at("rank").get<int>(), json.value("host", ""),
          ExitStatus{json.at("exit_code").get<int>(), json.at("signal").get<int>()}};
}

}  // namespace

void keep_rank(const fs::path& attempt_directory, int rank) {
  sigset_t all, earlier;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &earlier);
  const pid_t keeper = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) fail_errno("cannot start a process for rank " + std::to_string(rank));
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != keeper) ::_exit(127);  // it ended before the request was in place
    ::sigprocmask(SIG_SETMASK, &earlier, nullptr);
    return;
  }
  const ExitStatus status = wait_process(child);
  if (status.code != 0) record(attempt_directory, rank, status);
  end_as(status);
}

std::optional<RankExit> first_rank_exit(const fs::path& attempt_directory) {
  std::optional<RankExit> first;
  auto first_time = fs::file_time_type::max();
  std::error_code error;
  for (fs::directory_iterator entry(attempt_directory, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.rfind(kExitPrefix, 0) != 0 || entry->path().extension() != ".json") continue;
    try {
      const RankExit candidate = read_exit(entry->path());
      const auto time = entry->last_write_time();
      if (first && first_time <= time) continue;
      first = candidate;
      first_time = time;
    } catch (const std::exception&) {
      // Gone or damaged: another file, or mpirun, says enough.
    }
  }
  return first;
}

}  // namespace lockstep
