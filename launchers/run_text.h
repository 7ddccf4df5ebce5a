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

// What the program says of how far it is (Run::show_progress), one line without control characters; empty when it says
// nothing or the run is not under way.
std::string progress_text(const RunDirectory& run, const RunSummary& summary);

// At most `columns` wide: fields, which two spaces part, are left out from the end. columns 0: as it is.
std::string fit_fields(const std::string& line, int columns);

}  // namespace lockstep
