#include "lockstep/distributed/gradients/flat_buffers.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/GradMode.h>

#include <cstring>

#include "lockstep/core/error.h"
#include "lockstep/distributed/gradients/module_tensors.h"

namespace lockstep {
namespace {

std::vector<std::int64_t> contiguous_strides(at::IntArrayRef sizes) {
  std::vector<std::int64_t> strides(sizes.size(), 1);
  for (auto i = static_cast<std::int64_t>(sizes.size()) - 2; i >= 0; --i) {
    strides[i] = strides[i + 1] * std::max<std::int64_t>(sizes[i + 1], 1);
  }
  return strides;
}

bool is_same_layout(const at::Tensor& a, const at::Tensor& b) {
  return a.is_cpu() && a.scalar_type() == b.scalar_type() && a.strides() == b.strides();
}

}  // namespace

// The tensor keeps the memory alive, so handles that outlive the DataParallel stay valid.
at::Tensor flat_tensor(Communicator& communicator, std::int64_t count, const at::TensorOptions& options) {
  const auto bytes = count * static_cast<std::int64_t>(options.dtype().itemsize());
  auto memory = communicator.allocate(bytes);
  void* data = memory->data();
  return at::from_blob(
      data, {count}, [memory = std::move(memory)](void*) mutable { memory.reset(); }, options);
}

at::Tensor slot_view(const at::Tensor& flat, const ParameterSlot& slot, const at::Tensor& parameter) {
  // Below autograd's view tracking: the slots are independent tensors that only share memory.
  const at::AutoDispatchBelowADInplaceOrView plain;
  const bool dense = parameter.is_non_overlapping_and_dense();  // channels_last weights keep their strides
  const auto strides = dense ? parameter.strides().vec() : contiguous_strides(parameter.sizes());
  return flat.as_strided(parameter.sizes(), strides, slot.offset);
}

FlatBuffers::FlatBuffers(std::vector<at::Tensor> tensors, const BucketPlan& plan, Communicator& communicator)
    : tensors_(std::move(tensors)), gradient_views_(tensors_.size()), places_(tensors_.size()) {
  const c10::AutoGradMode no_graph(false);
  const auto options = tensors_[0].options().requires_grad(false);
  parameters_ = flat_tensor(communicator, plan.total_count, options);
  gradients_ = flat_tensor(communicator, plan.total_count, options);
  for (const auto& bucket : plan.buckets) {
    for (const auto& slot : bucket.slots) {
      auto& tensor = tensors_[slot.parameter];
      gradient_views_[slot.parameter] = slot_view(gradients_, slot, tensor);
      auto view = slot_view(parameters_, slot, tensor);
      view.copy_(tensor);
      tensor.set_data(view);
      places_[slot.parameter] = tensor.const_data_ptr();
    }
  }
}

FlatBuffers::~FlatBuffers() {
  const c10::AutoGradMode no_graph(false);
  try {
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      auto& gradient = tensors_[i].mutable_grad();
      if (gradient.is_same(gradient_views_[i])) gradient = gradient.clone();
      tensors_[i].set_data(tensors_[i].detach().clone());
    }
  } catch (...) {  // out of memory: the views stay valid, they own the buffers too
  }
}

void FlatBuffers::check_in_place(const std::vector<ParameterInfo>& infos) const {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (tensors_[i].const_data_ptr() == places_[i]) continue;
    fail(ErrorKind::usage, "parameter '" + infos[i].name + "' was moved to other memory after DataParallel was made",
         "bring the module to its device and type first (module.to()), then wrap it; copy values with copy_()");
  }
}

std::uint32_t FlatBuffers::gradient_version(int parameter) const {
  return static_cast<std::uint32_t>(gradient_views_[parameter]._version());
}

bool FlatBuffers::holds_gradient(int parameter, std::uint32_t version) const {
  return tensors_[parameter].grad().is_same(gradient_views_[parameter]) && gradient_version(parameter) == version;
}

bool FlatBuffers::lies_like_its_slot(int parameter) const {
  const auto& gradient = tensors_[parameter].grad();
  return gradient.layout() == at::kStrided && !gradient.requires_grad() &&
         is_same_layout(gradient, gradient_views_[parameter]);
}

void FlatBuffers::check_gradient(int parameter, const std::string& name) const {
  const auto& gradient = tensors_[parameter].grad();
  if (gradient.layout() != at::kStrided) {
    fail(ErrorKind::usage, "the gradient of '" + name + "' is sparse",
         "make it dense, for example Embedding's sparse(false)");
  }
  if (gradient.requires_grad()) {
    fail(ErrorKind::usage, "the gradient of '" + name + "' carries a graph of its own (backward with create_graph)",
         "use torch::autograd::grad for second derivatives: DataParallel keeps plain gradients in one buffer");
  }
}

void FlatBuffers::adopt_gradient(int parameter, const std::string& name) {
  auto& gradient = tensors_[parameter].mutable_grad();
  const auto& view = gradient_views_[parameter];
  if (gradient.is_same(view)) return;  // it was accumulated in place
  check_gradient(parameter, name);
  if (is_same_layout(gradient, view)) {
    std::memcpy(view.data_ptr(), gradient.const_data_ptr(), view.nbytes());
  } else {
    view.copy_(gradient);
  }
  gradient = view;
}

}  // namespace lockstep
