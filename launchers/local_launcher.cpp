#include "lockstep/launchers/local_launcher.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "lockstep/core/machine.h"
#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/launchers/follow_log.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Variables = std::map<std::string, std::string>;

class AppendedFile {
 public:
  explicit AppendedFile(const fs::path& path) {
    file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file_ < 0) fail_errno("cannot write " + path.string());
    struct stat status {};
    if (::fstat(file_, &status) == 0) size_ = static_cast<std::uintmax_t>(status.st_size);
  }
  ~AppendedFile() { ::close(file_); }
  AppendedFile(const AppendedFile&) = delete;
  AppendedFile& operator=(const AppendedFile&) = delete;
  int get() const { return file_; }
  std::uintmax_t size() const { return size_; }

 private:
  int file_;
  std::uintmax_t size_ = 0;
};

void record_attempt(const RunDirectory& run, const LaunchPlan& plan, int attempt, const std::string& resume_from) {
  const nlohmann::ordered_json record{{"attempt", attempt},       {"time", unix_time()},
                                      {"host", host_name()},      {"supervisor", ::getpid()},
                                      {"argv", plan.launch_argv}, {"resume_from", resume_from}};
  publish_file(run.attempt_directory(attempt) / "attempt.json",
               record.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

}  // namespace

Variables launch_environment(const LaunchPlan& plan, const RunDirectory& run, int attempt,
                             const std::string& resume_from, const Variables& available) {
  Variables variables = environment_of_ranks(plan, available);
  const int world_size = plan.node_count * plan.process_count_per_node;
  variables[contract::kRunDir] = run.path().string();
  variables[contract::kRunId] = run.id();
  variables[contract::kAzureRunId] = run.id();
  variables[contract::kExperiment] = run.experiment();
  variables[contract::kAttempt] = std::to_string(attempt);
  variables[contract::kExpectedWorldSize] = std::to_string(world_size);
  variables.erase(contract::kResumeFrom);  // a surrounding run's
  if (!resume_from.empty()) variables[contract::kResumeFrom] = resume_from;
  return variables;
}

bool starts_with_mpirun(const LaunchPlan& plan) {
  if (plan.launch_argv.empty()) return false;
  const std::string name = fs::path(plan.launch_argv.front()).filename().string();
  return name.find("mpirun") != std::string::npos || name.find("mpiexec") != std::string::npos || name == "orterun" ||
         name == "prterun";
}

Result<Launch> launch_attempt(const RunDirectory& run, const LaunchPlan& plan, int attempt,
                              const std::string& resume_from) {
  const fs::path folder = run.attempt_directory(attempt);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return Error{ErrorKind::environment, "cannot make " + folder.string() + ": " + error.message(), {}, {}};
  record_attempt(run, plan, attempt, resume_from);

  Launch launch;
  launch.attempt = attempt;
  launch.by_mpirun = starts_with_mpirun(plan);
  const AppendedFile mpi_log(run.path() / contract::kLogs / "70_mpi_log.txt");
  const AppendedFile rank0_log(rank_log_path(run, 0));
  launch.mpi_log_offset = mpi_log.size();
  launch.rank0_log_offset = rank0_log.size();

  ProcessSpec spec;
  spec.argv = plan.launch_argv;
  spec.environment = launch_environment(plan, run, attempt, resume_from, current_environment());
  spec.directory = run.path() / plan.work_directory;
  spec.standard_output = spec.standard_error = launch.by_mpirun ? mpi_log.get() : rank0_log.get();
  spec.new_session = true;
  spec.die_with_parent = true;
  const Result<pid_t> started = start_process(spec);
  if (!started) return started.error();
  launch.pid = *started;
  return launch;
}

}  // namespace lockstep
