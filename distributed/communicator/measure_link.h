// Measures what a communicator's all_reduce costs.
#pragma once

#include <span>
#include <string_view>

#include "lockstep/distributed/communicator/communicator.h"
#include "lockstep/distributed/communicator/link_table.h"

namespace lockstep {

// Collective; all ranks get the same values. backend: the name of the result. Goes through `sizes` (bytes, ascending)
// and leaves out those that do not fit into the budget any more, so there may be no points at all.
Link measure_link(Communicator& communicator, std::string_view backend, std::span<const std::int64_t> sizes,
                  double budget_seconds);

}  // namespace lockstep
