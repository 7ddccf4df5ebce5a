// Watches over one run from its first event to its last: waits for slots, starts attempts, decides what follows their
// ends, writes every event. The job never depends on it for its work.
#pragma once

#include <filesystem>

namespace lockstep {

// Blocks until the run has ended; the one terminal event is then written. SIGTERM and SIGINT cancel the run. Throws
// Failure(usage) when the run is over or another supervisor looks after it, Failure(environment) when its directory
// cannot be written.
void supervise(const std::filesystem::path& run_directory);

}  // namespace lockstep
