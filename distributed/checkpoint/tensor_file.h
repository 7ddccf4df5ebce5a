// Named tensors in an HDF5 file: a group of datasets whose order, types and digests are kept beside them.
#pragma once

#include <string>
#include <vector>

#include "lockstep/data/hdf5_file.h"
#include "lockstep/distributed/checkpoint/state_dict.h"

namespace lockstep {

// Creates `group` with one dataset per tensor, named as the tensor, and the dataset "/names" + group (text: their
// order). Booleans are stored as uint8, bfloat16 as data/hdf5_file.h says. Appends one line per tensor to `manifest`:
// "<sha256 of the bytes> <group>/<name> <type> [shape]". Throws Failure(usage) for types without a form in HDF5
// (complex, quantised, float16).
void write_tensors(Hdf5File& file, const std::string& group, const NamedTensors& tensors,
                   std::vector<std::string>& manifest);

// Reads the group in its order, which may also be its attribute "names". Appends the lines that describe what was read
// to `manifest`, in the form above, for comparison. Throws what Hdf5File throws.
NamedTensors read_tensors(const Hdf5File& file, const std::string& group, std::vector<std::string>& manifest);

}  // namespace lockstep
