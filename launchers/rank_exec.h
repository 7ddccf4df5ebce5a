// What mpirun starts for each rank: gives the rank its log and its variables, then starts the user's program in its own
// process group, so MPI's signals reach it, and records how it ended (rank_exit.h).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/core/rank_environment.h"

namespace lockstep {

// `lockstep rank-exec [--alone] [--inputs] -- PROGRAM ARGS…`. Needs LOCKSTEP_RUN_DIR. --alone: rank 0 of 1, whatever
// the environment says. --inputs: the launch plan in run.json names data sets.
//   1. output goes to logs/70_driver_log.txt (rank 0) or logs/70_driver_log_<rank>.txt, appended; a further attempt
//   begins
//      with a line that says so;
//   2. RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, NODE_RANK, MASTER_ADDR, MASTER_PORT, AZ_BATCH_MASTER_NODE
//   (MASTER_ADDR:MASTER_PORT) and what run_contract.h names and is not set yet; with --inputs the data sets are brought
//   to this node (stage_inputs.h), and their variables set;
//   3. $NAME and ${NAME} in the program's arguments are replaced by the rank's variables, $$ by $;
//   4. with --alone this process becomes the program; else a child of it does, and this process ends as the child does.
// Does not return when all goes well. Otherwise the error is in the rank's log and in attempts/NNN/error_<rank>.json;
// returns 1, or 2 for bad usage.
int rank_exec_command(const std::vector<std::string>& arguments);

// Pure. The variables of step 2 for this rank, without those that `variables` has already (RANK and its like are always
// set). run_id: MASTER_PORT is derived from it, equal on all ranks and seldom equal for two runs. Environment error:
// the ranks are not as many as LOCKSTEP_EXPECTED_WORLD_SIZE (an MPI that did not find its launcher makes every process
// rank 0 of 1).
Result<std::map<std::string, std::string>> rank_variables(const RankEnvironment& rank, const std::string& run_directory,
                                                          const std::map<std::string, std::string>& variables);

}  // namespace lockstep
