// Which backend `auto` takes, and why.
#pragma once

#include <functional>

#include "lockstep/distributed/communicator/link_table.h"
#include "lockstep/distributed/communicator/placement.h"

namespace lockstep {

// Collective over placement.world. measure: called, on all ranks, only where several backends would do and nothing is
// known of them; what it returns is kept for later runs. The variable LOCKSTEP_COMMUNICATOR of rank 0 stands in for
// options.backend where that is auto.
CommunicatorChoice choose_backend(const Placement& placement, const CommunicatorOptions& options,
                                  const std::function<LinkTable()>& measure);

}  // namespace lockstep
