// The trained model as an HDF5 file that other programs read: outputs/model.h5.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lockstep/distributed/checkpoint/state_dict.h"

namespace lockstep {

// What somebody needs to use the weights.
struct ModelFacts {
  std::string model = {};  // name in the registry: "cifar_net"
  std::vector<std::string> class_names = {};
  std::vector<std::int64_t> input_shape = {};         // C, H, W
  std::string normalize = {};                         // "mean-std" or "none" (train_config.h)
  std::vector<double> mean = {}, std_deviation = {};  // per channel, of pixels / 255
  std::int64_t step = 0;                              // optimizer steps that made it
};

// Replaces `path` in one go (temporary file, fsync, rename). /state_dict holds a dataset per parameter and buffer,
// named as in Python's state_dict
// ("conv1.weight"); the dataset /names/state_dict keeps their order. Attributes of the file: format "lockstep-model",
// format_version, model, class_names, input_shape, normalize, mean, std, step, weights_sha256. Throws
// Failure(environment). Returns weights_sha256.
std::string write_model(const std::filesystem::path& path, const ModelFacts& facts, const NamedTensors& state_dict);

// Whether Lockstep wrote `path` as a model file, and it is undamaged.
bool is_model_file(const std::filesystem::path& path);

// The values of /state_dict of a model file or a checkpoint, or of a file whose name ends in .safetensors
// (safetensors_file.h). What Lockstep wrote is sealed (seal.h) and verified; a model file that another program wrote
// needs the attribute format, the group and its attribute names (or the dataset). Throws Failure: usage when there is
// no such file or it is of another kind, corrupt_data when it is damaged.
NamedTensors read_weights(const std::filesystem::path& path);

}  // namespace lockstep
