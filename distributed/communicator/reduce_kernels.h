// The arithmetic of the CPU backends. Plain loops, compiled once for each level of the x86-64 instruction set and
// chosen when the program starts; on other processors once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lockstep/distributed/communicator/communicator.h"

namespace lockstep {

// output[i] = (inputs[0][i] op inputs[1][i] op ...) * scale, for all outputs alike. bfloat16 and float16 are added in
// float32 and rounded once. op average adds like sum (the caller gives the scale). scale is ignored for min, max,
// int64. inputs: at least one. All arrays hold `count` elements of `type`; an output may be one of the inputs, but
// partly overlapping arrays give garbage. The order of the additions is that of `inputs`, for every element.
void reduce(DataType type, ReduceOp op, double scale, std::span<const std::byte* const> inputs,
            std::span<std::byte* const> outputs, std::int64_t count);

// Whether an average is scaled before it is summed by MPI, which rounds every sum to the type: float16 ends at 65,504.
// Other types are scaled once at the end, which rounds once.
inline bool scales_first(DataType type) { return type == DataType::float16; }

// data[i] *= scale.
void scale_in_place(DataType type, double scale, void* data, std::int64_t count);

}  // namespace lockstep
