// --parameter-group: settings of some parameters as one word of the command line.
#pragma once

#include <string>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/distributed/optimizer/parameter_groups.h"
#include "lockstep/distributed/training/train_config.h"

namespace lockstep {

// "fc3.*: learning-rate=0.01, weight-decay=0": names as in state_dict, * for any characters, ? for one; then at least
// one of learning-rate (follows the same schedule as --learning-rate, `learning_rate`, which must not be 0),
// learning-rate-factor (of --learning-rate) and weight-decay. Error(usage) says what is wrong with the text. Pure.
Result<ParameterGroup> parse_parameter_group(const std::string& text, double learning_rate);

// Of the whole configuration: its groups in the order given, --exempt-vectors included. names: of all parameters.
// Error(usage) as above.
Result<std::vector<ParameterGroup>> parameter_groups(const TrainConfig& config, const std::vector<std::string>& names);

}  // namespace lockstep
