// --weights: values from a file into a model.
#pragma once

#include <filesystem>

#include "lockstep/models/model.h"

namespace lockstep {

// Copies all values, or throws: what read_weights throws; usage when names, shapes or types are not the model's, or
// when the file has two values for a weight that the model has once.
void load_weights(Model& model, const std::filesystem::path& path);

}  // namespace lockstep
