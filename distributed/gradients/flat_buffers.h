// Parameters and gradients of a module in two contiguous buffers.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "lockstep/distributed/communicator/communicator.h"
#include "lockstep/distributed/gradients/bucket_plan.h"

namespace lockstep {

// While it lives, each parameter is a view into parameters(), at its slot and with its values kept; each has a view of
// the same shape and strides into gradients(). Both buffers are memory of the communicator: collectives work in them
// without a copy. Its destructor gives the parameters, and gradients that are set, memory of their own again.
class FlatBuffers {
 public:
  // Collective (it allocates). tensors: trainable parameters, one type, one device, in the order of the plan's indices.
  FlatBuffers(std::vector<at::Tensor> tensors, const BucketPlan& plan, Communicator& communicator);
  ~FlatBuffers();
  FlatBuffers(const FlatBuffers&) = delete;
  FlatBuffers& operator=(const FlatBuffers&) = delete;

  at::Tensor& parameters() { return parameters_; }
  at::Tensor& gradients() { return gradients_; }
  const std::vector<at::Tensor>& tensors() const { return tensors_; }
  const at::Tensor& gradient_view(int parameter) const { return gradient_views_[parameter]; }

  // Throws Failure(usage) when a parameter was given other memory since (module.to(), set_data): updates would go to
  // the old one.
  void check_in_place(const std::vector<ParameterInfo>& infos) const;
  // Counts the writes through a gradient's view that torch knows of.
  std::uint32_t gradient_version(int parameter) const;
  // Whether this parameter's .grad is its view, and nobody has written through it since it had this version.
  bool holds_gradient(int parameter, std::uint32_t version) const;

  // Whether a gradient outside of its slot could be copied there as it lies in memory.
  bool lies_like_its_slot(int parameter) const;

  // Throws Failure(usage) for a sparse gradient and for one that carries a graph (create_graph).
  void check_gradient(int parameter, const std::string& name) const;
  // Moves a gradient that lies elsewhere into its slot and makes .grad the view. Cheap when it is the view already.
  // Throws as check_gradient().
  void adopt_gradient(int parameter, const std::string& name);

 private:
  std::vector<at::Tensor> tensors_;
  std::vector<at::Tensor> gradient_views_;
  std::vector<const void*> places_;  // of the parameters' values
  at::Tensor parameters_;
  at::Tensor gradients_;
};

// Collective: [count] zeros of `options` in memory of the communicator, which the tensor keeps alive.
at::Tensor flat_tensor(Communicator& communicator, std::int64_t count, const at::TensorOptions& options);

// The part of a flat buffer that belongs to one parameter, with the parameter's shape and strides.
at::Tensor slot_view(const at::Tensor& flat, const ParameterSlot& slot, const at::Tensor& parameter);

}  // namespace lockstep
