// A run's estimator, to be submitted again.
#pragma once

#include <string>

#include "lockstep/core/estimator.h"
#include "lockstep/core/run_store.h"

namespace lockstep {

// As it was given, or, of a run of an earlier version, as it was resolved. from_snapshot: with the run's own snapshot
// as source_directory. Values of secret variables are not in it: they are kRedacted.
Estimator estimator_of(const RunDirectory& run, bool from_snapshot);

// The INI text of it, that `lockstep submit` takes. Secret variables are named in comments.
std::string as_ini(const RunDirectory& run, bool from_snapshot);

}  // namespace lockstep
