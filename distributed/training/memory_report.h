// Where the memory of a rank goes.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/optimizer/optimizer.h"

namespace torch::nn {
class Module;
}

namespace lockstep {

// Bytes of one rank. Weights and gradients include the padding of their flat buffers.
struct MemoryUse {
  std::int64_t weights = 0;          // trainable; in the communicator's memory
  std::int64_t gradients = 0;        // the same
  std::int64_t frozen = 0;           // parameters that do not train, and buffers of the module
  std::int64_t optimizer_state = 0;  // of this rank's shard, where it is sharded
  // What the communicator holds besides weights and gradients: staging areas, gradients in a narrower form, and memory
  // that was given back but can only be freed by all ranks together.
  std::int64_t communicator = 0;
  // Of the process, as Linux sees it; 0 where it does not say.
  std::int64_t resident = 0;
  std::int64_t resident_peak = 0;  // since the process started
  std::int64_t shared = 0;         // of `resident`: shared with other processes. The communicators' buffers, in which
                                   // weights and gradients lie too, as far as this rank has touched its and its peers'
  std::int64_t address_space_peak = 0;  // what `ulimit -v` limits
  // LibTorch's allocator on a GPU; 0 on the CPU.
  std::int64_t device = 0, device_peak = 0, device_reserved = 0;
};

// Names and values of the above, in this order: "weights", …, "device_reserved".
std::vector<std::pair<std::string, std::int64_t>> named_values(const MemoryUse& use);

// Of this rank, now; module: the one that `model` trains. Not collective.
MemoryUse measure_memory(const torch::nn::Module& module, DataParallel& model, const Optimizer& optimizer);

// Collective: every rank's, by rank.
std::vector<MemoryUse> gather_memory(Communicator& communicator, c10::Device device, const MemoryUse& mine);

// One line: "memory of a rank: weights 12.3 MB, …; resident 300.0 MB, at most 310.0 MB (rank 1)".
std::string describe(const std::vector<MemoryUse>& of_ranks);

}  // namespace lockstep
