// Who ended an attempt and why: from what the ranks left behind, what mpirun said and how it exited.
#pragma once

#include <sys/statvfs.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/core/process.h"
#include "lockstep/core/run_store.h"

namespace lockstep {

// What a rank left in attempts/NNN/error_<rank>.json.
struct RankError {
  int rank = 0;
  std::string host, kind, what, where, hint;
};

// The rank error that explains the end: the earliest one, but one that only noticed that a peer was lost
// comes after all others. Files that cannot be read are passed over.
std::optional<RankError> first_rank_error(const std::filesystem::path& attempt_directory);

// The last `count` lines of a log, read from its last 64 KiB: valid UTF-8, no control characters, of a progress line
// that rewrote itself the last state. Only the last attempt's
// lines. Empty when the file is missing.
std::vector<std::string> last_lines(const std::filesystem::path& log, std::size_t count = 20);

// The cause of an attempt that failed by itself. status: how the launcher (or the only rank) ended. mpi_log_offset:
// where this attempt's part of 70_mpi_log.txt begins. The hint also tells that the run's disk is full. world_size 1
// without mpirun: the culprit is rank 0 on this host.
EndCause find_cause(const RunDirectory& run, int attempt, const ExitStatus& status, std::uintmax_t mpi_log_offset,
                    bool by_mpirun);

// Pure. What to say where the disk that holds `path` has less than 1 MiB or no file left: what a rank says of it is
// often lost with its log. "" for any other.
std::string full_disk_hint(const std::filesystem::path& path, const struct statvfs& disk);

// The causes of the other ends. who: "root@vm", or what else told the supervisor to stop.
EndCause completed_cause();
EndCause canceled_cause(const std::string& who);
EndCause time_limit_cause(const RunDirectory& run, std::int64_t seconds);
EndCause supervisor_cause(const Error& error);  // the supervisor could not do its part

}  // namespace lockstep
