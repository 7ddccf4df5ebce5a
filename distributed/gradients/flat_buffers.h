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

  // The collective's view of `count` gradients from `offset`.
  Buffer gradients(std::int64_t offset, std::int64_t count) const;

  // Moves a gradient that lies elsewhere into its slot and makes .grad the view. Cheap when it is the view already.
  // Throws Failure(usage) for a sparse gradient and for one that carries a graph (create_graph).
  void adopt_gradient(int parameter, const std::string& name);

 private:
  std::vector<at::Tensor> tensors_;
  std::vector<at::Tensor> gradient_views_;
  at::Tensor parameters_;
  at::Tensor gradients_;
  DataType type_;
};

// The part of a flat buffer that belongs to one parameter, with the parameter's shape and strides.
at::Tensor slot_view(const at::Tensor& flat, const ParameterSlot& slot, const at::Tensor& parameter);

}  // namespace lockstep
