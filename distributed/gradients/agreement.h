// Small exchanges by which all ranks come to the same decision.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>
#include <vector>

#include "lockstep/distributed/communicator/communicator.h"

namespace lockstep {

// The messages travel in memory of `device`, the one the communicator works on. All functions are collective and end in
// the same way on every rank.

// Rank 0's text on every rank.
std::string text_of_rank0(Communicator& communicator, at::Device device, const std::string& text);

// value of every rank, by rank.
std::vector<std::int64_t> gather_values(Communicator& communicator, at::Device device, std::int64_t value);

// problem: what this rank found wrong, or "". Returns when no rank has a problem; else throws on every rank
// Failure(usage) with the text of the lowest rank that has one, and `hint`.
void agree(Communicator& communicator, at::Device device, const std::string& problem, const std::string& hint);

}  // namespace lockstep
