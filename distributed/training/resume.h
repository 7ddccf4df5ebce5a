// Where a training starts: from nothing, or from which checkpoint.
#pragma once

#include <optional>
#include <string>

#include "lockstep/distributed/checkpoint/checkpoint.h"
#include "lockstep/distributed/checkpoint/checkpoint_store.h"
#include "lockstep/distributed/session/session.h"

namespace lockstep {

struct StartingPoint {
  std::optional<Checkpoint> checkpoint;  // nothing: a fresh start
  std::string origin;                    // its file
};

// Collective. request: --resume's value. "auto": the newest valid checkpoint of `store`, else the base that
// LOCKSTEP_RESUME_FROM names ("auto" there names none), else a fresh start, with a line on stdout that says so. "none":
// a fresh start. A path is a base: that checkpoint, or the newest valid one of that folder. Anything else: the newest
// valid one of that run. Where the run is started again its own newest valid checkpoint goes before any base. "": auto
// where the run is started again or LOCKSTEP_RESUME_FROM is set, none otherwise. Only rank 0 looks at files; every rank
// returns the same. Throws AgreedFailure: usage (no such file or run; a file that is no sound checkpoint; another
// model, data set or seed than `identity` says), corrupt_data (checkpoints exist in a folder and none is valid).
// Checkpoints in `store` later than the starting point are moved aside (checkpoint_store.h); rank 0 says so on stdout.
StartingPoint find_starting_point(Session& session, const std::string& request, const CheckpointStore& store,
                                  const std::map<std::string, std::string>& identity);

}  // namespace lockstep
