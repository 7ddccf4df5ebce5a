// Models by name.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/models/model.h"

namespace lockstep {

enum class Samples { images, tokens };

// Sorted.
std::vector<std::string> model_names();
// Those that are made for such samples, sorted.
std::vector<std::string> model_names(Samples samples);

// A new model with initial values drawn from torch's default CPU generator (torch::manual_seed), on the CPU, in
// training mode. Throws std::invalid_argument for a name that is not in model_names(), and for an input or options
// that the model has no use for; the text is one sentence fit for the user.
std::shared_ptr<Model> make_model(std::string_view name, const ModelInput& input, const ModelOptions& options = {});

}  // namespace lockstep
