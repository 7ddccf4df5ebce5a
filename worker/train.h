// What lockstep-train does between its options and its end.
#pragma once

#include <string>

#include "lockstep/distributed/session/session.h"
#include "lockstep/distributed/training/train_config.h"

namespace lockstep {

// The page of --help.
std::string train_help();

SessionOptions session_options(const TrainConfig& config);

// Collective. Opens the data, makes the model, runs the TrainLoop. Throws Failure.
void train(Session& session, const TrainConfig& config);

}  // namespace lockstep
