#include "lockstep/distributed/training/capture_problem.h"

namespace lockstep {

std::string capture_problem(const TrainConfig& config, const CaptureFacts& facts) {
  if (config.capture == "off") return "--capture is off";
  if (!facts.on_gpu) return "the device is " + facts.device + ", and only a GPU's work can be recorded";
  if (facts.world_size > 1 && facts.communicator != "nccl")
    return "the communicator " + facts.communicator + " works on the host";
  if (config.precision == "fp16") return "float16's loss scale is decided on the host after each step";
  if (config.skip_outliers) return "--skip-outliers decides on the host whether a step counts";
  if (config.accumulate.automatic) return "--accumulate auto looks for sizes that fit";
  if (config.compress == "powersgd") return "powersgd counts its first, plain steps on the host";
  if (config.checkpoint_activations) return "--checkpoint-activations sets random states on the host";
  if (facts.weights_of_16_bits) return "whether 16-bit weights were written by others is looked up on the host";
  if (config.global_micro_batch(facts.world_size) < facts.world_size)
    return "a rank has no samples: the batch is " + std::to_string(config.global_micro_batch(facts.world_size)) +
           ", there are " + std::to_string(facts.world_size) + " ranks";
  return {};
}

}  // namespace lockstep
