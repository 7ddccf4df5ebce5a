// What of a module takes part in data-parallel training, and what ranks compare before they start.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "lockstep/distributed/communicator/communicator.h"
#include "lockstep/distributed/gradients/bucket_plan.h"

namespace torch::nn {
class Module;
}

namespace lockstep {

// Handles, not copies. A tensor registered under several names (tied weights) appears once, under the first.
struct ModuleTensors {
  std::vector<ParameterInfo> infos;   // of the trainable parameters, in the module's order
  std::vector<at::Tensor> trainable;  // requires_grad
  std::vector<at::Tensor> frozen;
  std::vector<at::Tensor> buffers;
  // A line per parameter and buffer: "parameter 'fc1.weight' [120, 400] float trainable".
  std::string layout;
};

ModuleTensors collect_tensors(const torch::nn::Module& module);

// What makes training impossible on this rank, as a sentence, or "": no trainable parameter, parameters of several
// types or on several devices, a type no communicator adds, a parameter that another DataParallel owns.
std::string find_problem(const ModuleTensors& tensors);

// The first line in which two layouts differ, as a sentence with both values and ranks, or "".
std::string find_difference(const std::string& layout_of_rank0, const std::string& layout, int rank);

// Collective: collect_tensors, once all ranks have found that nothing makes training impossible and that their modules
// are alike. Throws Failure(usage) on every rank.
ModuleTensors collect_equal_tensors(const torch::nn::Module& module, Communicator& communicator);

// Where messages and buffers of this module live; the CPU when it has no trainable parameter.
at::Device device_of(const ModuleTensors& tensors);

// The communicator's name for a floating type. Throws Failure(usage) for others.
DataType data_type(at::ScalarType type);

}  // namespace lockstep
