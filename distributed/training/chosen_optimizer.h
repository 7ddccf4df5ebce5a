// From the options of `lockstep-train` to an optimizer.
#pragma once

#include <memory>
#include <optional>

#include "lockstep/core/error.h"
#include "lockstep/distributed/optimizer/optimizer.h"
#include "lockstep/distributed/training/train_config.h"

namespace lockstep {

// What is wrong with the options of the optimizer and of the schedule together: one that another optimizer or schedule
// has, a value that it cannot use. Pure.
std::optional<Error> optimizer_problem(const TrainConfig& config);

// Throws Failure(usage) for what only the model can tell: a pattern that no parameter matches.
std::unique_ptr<Optimizer> make_optimizer(const TrainConfig& config, DataParallel& model);

}  // namespace lockstep
