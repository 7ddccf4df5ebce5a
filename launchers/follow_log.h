// What a run prints, while it prints it: reads on from where it stopped, never from the start again.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "lockstep/core/log_tail.h"
#include "lockstep/core/run_store.h"

namespace lockstep {

// Which logs of a run are meant.
struct LogSelection {
  int rank = 0;
  bool all_ranks = false;  // every rank, each line with "[rank] " before it
  bool mpi = false;        // what mpirun itself said
};

struct FollowOptions {
  LogSelection logs;
  bool summary = true;       // the block at the end: status, cause, duration, where the outputs are
  bool status_lines = true;  // "Queued: waiting for 2 of 2 slots …" on stderr as the status changes
  bool progress = true;      // how far the run is, on the last line, when stdout is a terminal
};

// Streams to stdout until the run's terminal event. Returns 0 when it completed, else the program's exit code (1 when
// there is none). A run whose supervisor is gone ends it too: 1. Ctrl-C leaves the run running, says so and returns
// 130.
int follow_run(const RunDirectory& run, const FollowOptions& options = {});

// Prints what is there now, without waiting.
void print_logs(const RunDirectory& run, const LogSelection& selection, std::ostream& out);

// logs/70_driver_log.txt for rank 0, logs/70_driver_log_<rank>.txt for the others.
std::filesystem::path rank_log_path(const RunDirectory& run, int rank);

// The lines at the end of the run: status, cause with the last lines of the rank's log, duration, outputs.
std::string end_summary(const RunDirectory& run, const RunSummary& summary);

// What a waiting program returns for this end: 0 when Completed, the exit code of the cause, 128 + signal, else 1.
int exit_code_of(const RunSummary& summary);

}  // namespace lockstep
