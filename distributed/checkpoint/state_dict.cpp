#include "lockstep/distributed/checkpoint/state_dict.h"

#include <c10/core/GradMode.h>
#include <torch/nn/module.h>

#include <map>
#include <sstream>

#include "lockstep/core/error.h"
#include "lockstep/core/sha256.h"

namespace lockstep {
namespace {

void collect(const torch::nn::Module& module, const std::string& prefix, NamedTensors& tensors) {
  for (const auto& parameter : module.named_parameters(/*recurse=*/false))
    if (parameter.value().defined()) tensors.emplace_back(prefix + parameter.key(), parameter.value());
  for (const auto& buffer : module.named_buffers(/*recurse=*/false))
    if (buffer.value().defined()) tensors.emplace_back(prefix + buffer.key(), buffer.value());
  for (const auto& child : module.named_children()) collect(*child.value(), prefix + child.key() + ".", tensors);
}

std::string describe(const at::Tensor& tensor) {
  std::ostringstream text;
  text << c10::toString(tensor.scalar_type()) << ' ' << tensor.sizes();
  return text.str();
}

[[noreturn]] void refuse(const std::string& what, const std::string& origin) {
  fail(ErrorKind::usage, what, "it belongs to another model, or to one for another input or number of classes", origin);
}

}  // namespace

NamedTensors state_dict(const torch::nn::Module& module) {
  NamedTensors tensors;
  collect(module, "", tensors);
  return tensors;
}

std::string weights_sha256(const NamedTensors& tensors) {
  Sha256 digest;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor bytes = tensor.detach().cpu().contiguous();
    digest.update(bytes.const_data_ptr(), bytes.nbytes());
  }
  return digest.hex();
}

void require_same_form(const NamedTensors& tensors, const NamedTensors& values, const std::string& origin) {
  std::map<std::string, at::Tensor> by_name(values.begin(), values.end());
  for (const auto& [name, tensor] : tensors) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) refuse("there is no value for \"" + name + "\" of the model", origin);
    const at::Tensor& value = found->second;
    if (value.sizes() != tensor.sizes() || value.scalar_type() != tensor.scalar_type())
      refuse("\"" + name + "\" is " + describe(value) + ", in the model it is " + describe(tensor), origin);
  }
  if (values.size() != tensors.size()) {
    for (const auto& [name, tensor] : tensors) by_name.erase(name);
    refuse("the model has no \"" + by_name.begin()->first + "\"", origin);
  }
}

void copy_into(const NamedTensors& tensors, const NamedTensors& values, const std::string& origin) {
  require_same_form(tensors, values, origin);
  const std::map<std::string, at::Tensor> by_name(values.begin(), values.end());
  const c10::AutoGradMode no_grad(false);
  for (const auto& [name, tensor] : tensors) tensor.copy_(by_name.at(name));
}

}  // namespace lockstep
