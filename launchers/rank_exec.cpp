#include "lockstep/launchers/rank_exec.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/words.h"
#include "lockstep/launchers/launch_plan.h"
#include "lockstep/launchers/rank_exit.h"
#include "lockstep/launchers/stage_inputs.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Variables = std::map<std::string, std::string>;

struct Request {
  bool alone = false;
  bool inputs = false;
  std::vector<std::string> argv;
};

Request parse(const std::vector<std::string>& arguments) {
  Request request;
  auto word = arguments.begin();
  if (word != arguments.end() && *word == "--alone") request.alone = true, ++word;
  if (word != arguments.end() && *word == "--inputs") request.inputs = true, ++word;
  if (word == arguments.end() || *word != "--" || ++word == arguments.end())
    fail(ErrorKind::usage, "usage: lockstep rank-exec [--alone] [--inputs] -- PROGRAM ARGS…");
  request.argv.assign(word, arguments.end());
  return request;
}

RankEnvironment find_rank(bool alone) {
  if (alone) return {0, 1, 0, 1, "lockstep"};
  const auto found = read_rank_environment().value();
  if (found) return *found;
  fail(ErrorKind::environment, "no variable says which rank this is",
       "the MPI that started it is not Open MPI, MVAPICH, MPICH, PMIx or Slurm, or lost its variables on the way");
}

// One attempt follows another in the same file: a reader wants to see where.
void mark_attempt(int log) {
  const char* attempt = std::getenv(contract::kAttempt);
  struct stat status {};
  if (!attempt || std::string(attempt) == "1" || ::fstat(log, &status) != 0 || status.st_size == 0) return;
  char time[32];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  std::strftime(time, sizeof time, "%Y-%m-%d %H:%M:%S UTC", ::gmtime_r(&now, &utc));
  const std::string line = std::string("--- attempt ") + attempt + ", " + time + " ---\n";
  [[maybe_unused]] const auto written = ::write(log, line.data(), line.size());
}

void send_output_to_log(const std::string& run_directory, int rank) {
  const std::string name = rank == 0 ? "70_driver_log.txt" : "70_driver_log_" + std::to_string(rank) + ".txt";
  const fs::path path = fs::path(run_directory) / contract::kLogs / name;
  const int log = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (log < 0) fail_errno("cannot write " + path.string());
  mark_attempt(log);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  if (log > STDERR_FILENO) ::close(log);
}

fs::path attempt_directory(const std::string& run_directory) {
  const char* attempt = std::getenv(contract::kAttempt);
  char name[16];
  std::snprintf(name, sizeof name, "%03d", attempt ? std::atoi(attempt) : 1);
  return fs::path(run_directory) / contract::kAttempts / name;
}

[[noreturn]] void become(const std::vector<std::string>& words) {
  std::vector<std::string> expanded;
  for (const std::string& word : words) expanded.push_back(expand_variables(word, environment_variable));
  std::vector<char*> argv;
  for (std::string& word : expanded) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  fail_errno("cannot start " + expanded.front(),
             errno == ENOEXEC ? "a script needs a first line such as #!/bin/sh" : "");
}

void report(const RankEnvironment& rank, const Error& error) noexcept try {
  std::cerr << "lockstep: " << error.message() << std::endl;
  Run::get_context().report_error(rank.rank, error);
} catch (...) {
  // What can be said has been said: the launcher sees the exit code.
}

// The launch plan's data sets, there before the program is.
Variables input_variables(const fs::path& run) {
  const auto record = nlohmann::ordered_json::parse(read_file(run / "run.json"), nullptr, false);
  if (!record.is_object() || !record.contains("launch_plan"))
    fail(ErrorKind::corrupt_data, "holds no launch plan", {}, (run / "run.json").string());
  const LaunchPlan plan = launch_plan_from_json(record["launch_plan"]);
  return stage_inputs(plan.inputs, run, run / plan.work_directory, stage_directory(run));
}

void set_variables(const Variables& variables) {
  for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
}

// FNV-1a, and not std::hash: all ranks must agree, on other machines and builds too.
unsigned hash(const std::string& text) {
  unsigned value = 2166136261u;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 16777619u;
  return value;
}

}  // namespace

Result<Variables> rank_variables(const RankEnvironment& rank, const std::string& run_directory,
                                 const Variables& variables) {
  const auto get = [&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::string() : found->second;
  };
  const std::string expected = get(contract::kExpectedWorldSize);
  const std::string size = rank.world_size ? std::to_string(*rank.world_size) : expected.empty() ? "1" : expected;
  if (!expected.empty() && size != expected)
    return Error{ErrorKind::environment, "world size is " + size + ", expected " + expected, "told by " + rank.source,
                 "the program that starts the ranks and the MPI do not work together: is mpirun of the same MPI as the "
                 "program?"};

  const fs::path directory = run_directory;
  const std::string id = directory.filename();
  const std::string attempt = get(contract::kAttempt).empty() ? "1" : get(contract::kAttempt);
  Variables result{{contract::kRunDir, run_directory},
                   {contract::kRunId, id},
                   {contract::kAzureRunId, id},
                   {contract::kExperiment, directory.parent_path().filename()},
                   {contract::kAttempt, attempt},
                   {contract::kExpectedWorldSize, size},
                   {"MASTER_ADDR", "127.0.0.1"},
                   // Below the range from which systems hand out ports to clients.
                   {"MASTER_PORT", std::to_string(15000 + hash(id + attempt) % 17000)}};
  const auto used = [&](const char* name) { return get(name).empty() ? result[name] : get(name); };
  result["AZ_BATCH_MASTER_NODE"] = used("MASTER_ADDR") + ":" + used("MASTER_PORT");
  for (const auto& [name, value] : variables) result.erase(name);
  result["RANK"] = std::to_string(rank.rank);
  result["WORLD_SIZE"] = size;
  result["LOCAL_RANK"] = std::to_string(rank.local_rank.value_or(rank.rank));
  result["LOCAL_WORLD_SIZE"] = rank.local_world_size ? std::to_string(*rank.local_world_size) : size;
  // Ranks fill one node after the other. Where they do not, only their program can tell, by its MPI.
  const int here = rank.local_world_size.value_or(0), before = rank.rank - rank.local_rank.value_or(rank.rank);
  result["NODE_RANK"] = std::to_string(here > 0 ? (before + here - 1) / here : 0);
  return result;
}

int rank_exec_command(const std::vector<std::string>& arguments) {
  const Request request = parse(arguments);
  const char* run_directory = std::getenv(contract::kRunDir);
  if (!run_directory)
    fail(ErrorKind::usage, "LOCKSTEP_RUN_DIR is not set",
         "lockstep submit starts ranks; rank-exec is one of its steps");
  RankEnvironment rank;
  try {
    rank = find_rank(request.alone);
    send_output_to_log(run_directory, rank.rank);
    const Variables variables = rank_variables(rank, run_directory, current_environment()).value();
    set_variables(variables);
    if (request.inputs) set_variables(input_variables(run_directory));
    // Alone it is the supervisor's own child, whose end it sees itself.
    if (!request.alone) keep_rank(attempt_directory(run_directory), rank.rank);
    become(request.argv);
  } catch (const std::exception& e) {
    const Error error = to_error(e);
    report(rank, error);
    return exit_code(error.kind);
  }
}

}  // namespace lockstep
