// Parameters and buffers of a module in the order and with the names of Python's state_dict().
#pragma once

#include <string>

#include "lockstep/distributed/gradients/named_tensors.h"

namespace torch::nn {
class Module;
}

namespace lockstep {

// The module's own tensors, not copies: for each module its parameters, then its buffers, then its children, as Python
// does (C++'s named_parameters and named_buffers separate the two). Undefined tensors are left out.
NamedTensors state_dict(const torch::nn::Module& module);

// SHA-256 over the raw bytes (row-major, little-endian) of all tensors in their order; names and shapes do not count.
std::string weights_sha256(const NamedTensors& tensors);

// Throws Failure(usage) when names, shapes or types differ: says which name is missing, unknown or how it differs.
// origin: where the values came from, for the message.
void require_same_form(const NamedTensors& tensors, const NamedTensors& values, const std::string& origin);

// Copies `values` into the tensors of the same name, after require_same_form: all of them or none.
void copy_into(const NamedTensors& tensors, const NamedTensors& values, const std::string& origin);

}  // namespace lockstep
