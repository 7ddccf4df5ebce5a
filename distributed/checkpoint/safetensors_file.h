// Weights as other programs publish them: files in the safetensors format.
#pragma once

#include <filesystem>

#include "lockstep/distributed/checkpoint/state_dict.h"

namespace lockstep {

// All tensors of the file, in the order of their bytes in it, on the CPU. F16 and BF16 become float32, which holds
// their values exactly; F32, I64, U8 and BOOL stay what they are. Nothing is believed: header and names are checked as
// strictly as the format's own library does, and before memory is taken for a tensor its bytes are known to be in the
// file. Throws Failure(usage): no such file; a header that is no JSON object of names, each with dtype, shape and
// data_offsets, or that has a name twice; other types; offsets outside of the file, with gaps, overlaps, or unlike the
// shape. environment: reading fails.
NamedTensors read_safetensors(const std::filesystem::path& path);

}  // namespace lockstep
