// What distributed_training says, in any of the spellings that people bring along.
#pragma once

#include <optional>
#include <string>

#include "lockstep/core/estimator.h"

namespace lockstep {

struct Distribution {
  std::string kind;  // "", "mpi" or "none"
  std::optional<int> node_count, process_count_per_node;
};

// "", "none", "mpi", "mpi:4" (processes per node), "mpi:2x4" (nodes x processes per node). Capitals, underscores and
// "Configuration" make no difference: MpiConfiguration is mpi. Usage error for what cannot be had (parameter servers,
// nccl, gloo), saying why and what to take, and for what is unknown. Errors name distributed_training in `where`.
Result<Distribution> parse_distribution(const std::string& text);

// The estimator with the counts that its distributed_training names as node_count and process_count_per_node, and
// distributed_training as "", "mpi" or "none". It must be sound.
Estimator with_plain_distribution(Estimator estimator);

// Azure ML's MpiConfiguration:  .distributed_training = Mpi{.process_count_per_node = 4}.text()
// What is left out is the estimator's own.
struct Mpi {
  std::optional<int> process_count_per_node = {};
  std::optional<int> node_count = {};
  std::string text() const;
};

}  // namespace lockstep
