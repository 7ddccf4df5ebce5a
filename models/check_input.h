// The check every model makes before it builds layers.
#pragma once

#include <cstdint>
#include <string>

#include "lockstep/models/model.h"

namespace lockstep {

// Throws std::invalid_argument with one sentence that holds the value and its limit: counts below 1, sides below
// `smallest_side` pixels.
void check_model_input(const std::string& model, const ModelInput& input, std::int64_t smallest_side);

}  // namespace lockstep
