#include "lockstep/distributed/gradients/module_tensors.h"

#include <torch/csrc/autograd/variable.h>
#include <torch/nn/module.h>

#include <sstream>
#include <unordered_set>

#include "lockstep/core/error.h"
#include "lockstep/distributed/gradients/agreement.h"

namespace lockstep {
namespace {

std::string layout_line(const char* kind, const std::string& name, const at::Tensor& tensor) {
  std::ostringstream line;
  line << kind << " '" << name << "' " << tensor.sizes() << " " << c10::toString(tensor.scalar_type())
       << (tensor.requires_grad() ? " trainable" : "") << "\n";
  return line.str();
}

bool is_supported(at::ScalarType type) {
  return type == at::kFloat || type == at::kDouble || type == at::kBFloat16 || type == at::kHalf;
}

std::string difference_in(const char* property, const ModuleTensors& tensors, std::size_t i, const std::string& first,
                          const std::string& other) {
  return std::string("trainable parameters have several ") + property + ": '" + tensors.infos[0].name + "' is " +
         first + ", '" + tensors.infos[i].name + "' is " + other;
}

}  // namespace

ModuleTensors collect_tensors(const torch::nn::Module& module) {
  ModuleTensors found;
  std::unordered_set<const void*> seen;
  for (const auto& item : module.named_parameters()) {
    const auto& tensor = item.value();
    if (!tensor.defined() || !seen.insert(tensor.unsafeGetTensorImpl()).second) continue;
    found.layout += layout_line("parameter", item.key(), tensor);
    if (tensor.requires_grad()) {
      found.infos.push_back({item.key(), tensor.numel(), static_cast<std::int64_t>(tensor.element_size())});
    }
    (tensor.requires_grad() ? found.trainable : found.frozen).push_back(tensor);
  }
  for (const auto& item : module.named_buffers()) {
    const auto& tensor = item.value();
    if (!tensor.defined() || !seen.insert(tensor.unsafeGetTensorImpl()).second) continue;
    found.layout += layout_line("buffer", item.key(), tensor);
    found.buffers.push_back(tensor);
  }
  return found;
}

std::string find_problem(const ModuleTensors& tensors) {
  if (tensors.trainable.empty()) return "the module has no trainable parameter";
  const auto& first = tensors.trainable[0];
  for (std::size_t i = 0; i < tensors.trainable.size(); ++i) {
    const auto& tensor = tensors.trainable[i];
    const auto& name = tensors.infos[i].name;
    const std::string type = c10::toString(tensor.scalar_type());
    if (tensor.scalar_type() != first.scalar_type()) {
      return difference_in("types", tensors, i, c10::toString(first.scalar_type()), type);
    }
    if (tensor.device() != first.device()) {
      return difference_in("devices", tensors, i, "on " + first.device().str(), "on " + tensor.device().str());
    }
    if (!is_supported(tensor.scalar_type()))
      return "parameter '" + name + "' is " + type + ", which cannot be averaged over ranks";
    if (tensor.layout() != at::kStrided) return "parameter '" + name + "' is not a dense tensor";
    if (torch::autograd::impl::post_acc_grad_hooks(tensor)) {
      return "parameter '" + name + "' already has a hook after accumulation: another DataParallel owns it";
    }
  }
  return {};
}

std::string find_difference(const std::string& layout_of_rank0, const std::string& layout, int rank) {
  std::istringstream theirs(layout_of_rank0);
  std::istringstream ours(layout);
  while (true) {
    std::string expected = "missing";
    std::string own = "missing";
    const bool more_expected = static_cast<bool>(std::getline(theirs, expected));
    const bool more_own = static_cast<bool>(std::getline(ours, own));
    if (!more_expected && !more_own) return {};
    if (more_expected && more_own && expected == own) continue;
    return "the ranks have different modules: " + (more_expected ? expected : "nothing more") + " on rank 0, " +
           (more_own ? own : "nothing more") + " on rank " + std::to_string(rank);
  }
}

ModuleTensors collect_equal_tensors(const torch::nn::Module& module, Communicator& communicator) {
  auto tensors = collect_tensors(module);
  const auto device = device_of(tensors);
  agree(communicator, device, find_problem(tensors), {});
  agree(communicator, device,
        find_difference(text_of_rank0(communicator, device, tensors.layout), tensors.layout, communicator.rank()),
        "build the same model on every rank");
  return tensors;
}

at::Device device_of(const ModuleTensors& tensors) {
  return tensors.trainable.empty() ? at::Device(at::kCPU) : tensors.trainable[0].device();
}

DataType data_type(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return DataType::float32;
    case at::kDouble:
      return DataType::float64;
    case at::kBFloat16:
      return DataType::bfloat16;
    case at::kHalf:
      return DataType::float16;
    default:
      fail(ErrorKind::usage, std::string(c10::toString(type)) + " gradients cannot be averaged over ranks");
  }
}

}  // namespace lockstep
