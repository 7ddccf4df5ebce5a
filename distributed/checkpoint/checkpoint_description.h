// All of a checkpoint but its tensors, as one JSON text: in the file, and from rank to rank.
#pragma once

#include <string>

#include "lockstep/distributed/checkpoint/checkpoint.h"

namespace lockstep {

// Doubles are written so that they read back to the same bits; NaN as "nan".
std::string describe(const Checkpoint& checkpoint);

// Throws std::exception for a text that describe() did not write.
void take_description(const std::string& text, Checkpoint& checkpoint);

}  // namespace lockstep
