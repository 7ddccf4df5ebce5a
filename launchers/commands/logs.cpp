// lockstep logs
#include "lockstep/core/option_checks.h"
#include "lockstep/launchers/commands/command_line.h"
#include "lockstep/launchers/follow_log.h"

namespace lockstep {
namespace {

struct LogsOptions {
  int rank = 0;
  bool all = false;
  bool mpi = false;
  bool follow = false;
};

constexpr CommandText kText{
    "lockstep logs RUN [options]",
    "Prints what a rank of the run printed. RUN is an id, a unique part of one, or \"latest\". With --follow new lines "
    "are shown\n"
    "until the run ends, then how it ended; the exit code is then the run's. Ctrl-C leaves the run running.",
    "  lockstep logs latest --follow\n"
    "  lockstep logs cifar_1700000000_ab12cd34 --rank 3\n"
    "  lockstep logs latest --all | grep '^\\[1\\]'"};

OptionTable<LogsOptions> logs_options() {
  OptionTable<LogsOptions> table;
  table.add("rank", &LogsOptions::rank, "N", "this rank's log", at_least(0));
  table.add("all", &LogsOptions::all, "", "the logs of all ranks, each line with its rank in front");
  table.add("mpi", &LogsOptions::mpi, "", "what mpirun itself said");
  table.add("follow", &LogsOptions::follow, "", "show new lines until the run ends");
  return table;
}

void check(const LogsOptions& options, const RunDirectory& run) {
  if (options.all + options.mpi + (options.rank != 0) > 1)
    fail(ErrorKind::usage, "--rank, --all and --mpi exclude each other");
  const RunSummary summary = run.summary();
  const int world_size = summary.node_count * summary.process_count_per_node;
  if (options.rank >= world_size)
    fail(ErrorKind::usage,
         "there is no rank " + std::to_string(options.rank) + ": the run has " + std::to_string(world_size) +
             ", counted from 0",
         {}, "--rank");
}

}  // namespace

int logs_command(const Arguments& arguments) {
  LogsOptions options;
  const auto table = logs_options();
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 1, 1)) return 0;
  const RunDirectory run = run_by_reference(words.front());
  check(options, run);
  const LogSelection selection{options.rank, options.all, options.mpi};
  if (options.follow) return follow_run(run, {.logs = selection});
  print_logs(run, selection, std::cout);
  return 0;
}

}  // namespace lockstep
