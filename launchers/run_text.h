// The facts of a run as short texts, the same in every listing.
#pragma once

#include <string>

#include "lockstep/core/run_store.h"
#include "lockstep/launchers/table.h"

namespace lockstep {

// The status in its colour: green, red, yellow while it is under way.
Cell status_cell(RunStatus status);

// "12 s ago", "3 d 4 h ago".
std::string format_age(double seconds);

// From the first work to the end, or to `now`; "-" before it began.
std::string duration_text(const RunSummary& run, double now);

// "1x4": nodes x processes per node.
std::string ranks_text(const RunSummary& run);

// "Queued: waiting for 2 of 2 slots …"
std::string status_line(const RunSummary& run);

}  // namespace lockstep
