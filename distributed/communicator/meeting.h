// Blocking calls of MPI, made only when no rank will be waited for in them. What MPI offers only as a blocking call
// (windows, new communicators) would stop this rank's other collectives, for which a peer may be waiting before it
// comes to that call. So the ranks meet first, and whoever is early keeps everything else going.
#pragma once

#include <mpi.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/progress_registry.h"

namespace lockstep {

struct Patience {
  std::shared_ptr<ProgressRegistry> others = nullptr;  // pushed meanwhile
  double timeout_seconds = 600;
  bool crowded = false;  // more ranks than cores: spin less
  std::string where = {};
  std::function<std::optional<Error>()> interrupted = {};  // as in CommunicatorOptions
};

// Returns when all ranks of `comm` have called it. Collective. Throws Failure(peer_lost) after the timeout, or what
// `interrupted` says. purpose: "allocate()", for its message.
void meet(MPI_Comm comm, std::string_view purpose, const Patience& patience);

// Waits for a request that is under way. Throws as meet() does.
void complete(MPI_Request& request, std::string_view purpose, const Patience& patience);

}  // namespace lockstep
