// Batch normalisation over the samples of all ranks.
#pragma once

#include <torch/nn/modules/batchnorm.h>

#include "lockstep/distributed/communicator/communicator.h"

namespace lockstep {

// One normalisation in training mode. Tensors that a layer does not have are undefined.
struct BatchNormInput {
  at::Tensor weight, bias;               // [C]
  at::Tensor running_mean, running_var;  // [C]; updated
  double momentum = 0.1;                 // part of the running statistics that this batch makes up
  double eps = 1e-5;
};

// input: [n, C, …], floating; n may be 0 and differ between ranks, but the total must be more than 1 value per channel.
// Collective, in forward (one all_reduce of 2C + 1 float64) and in backward (one of 2C float32), so every rank must
// call both, with an empty input where it has no samples. Gradients of weight and bias are those of this rank's
// samples: DataParallel averages them. Not differentiable twice. Throws Failure(usage) on every rank for one value per
// channel (CPU; on a GPU the host does not wait to see it, and the variance is 0).
at::Tensor sync_batch_norm(const at::Tensor& input, const BatchNormInput& parts, Communicator& communicator);

// In place of torch::nn::BatchNorm1d, 2d and 3d: the same options, and the same names of parameters and buffers, so
// that files of weights fit both. In eval mode, with one rank and without running statistics in eval mode it is torch's
// layer. All ranks keep equal running statistics, bit for bit.
//
// The communicator must be one that only layers use (Session::another_communicator()), and outlive them: DataParallel
// starts a bucket when its gradients are complete, which may come before a layer's backward on one rank and after it on
// another, but the calls on one communicator are in one order everywhere.
template <std::size_t D, typename Derived>
class SyncBatchNormBase : public torch::nn::BatchNormImplBase<D, Derived> {
 public:
  SyncBatchNormBase(const torch::nn::BatchNormOptions& options_, Communicator& communicator)
      : torch::nn::BatchNormImplBase<D, Derived>(options_), communicator_(&communicator) {}

  at::Tensor forward(const at::Tensor& input) {
    if (!this->is_training() || communicator_->size() == 1)
      return torch::nn::BatchNormImplBase<D, Derived>::forward(input);
    this->_check_input_dim(input);
    double momentum = this->options.momentum().value_or(0);
    if (this->num_batches_tracked.defined()) {
      this->num_batches_tracked += 1;
      if (!this->options.momentum()) momentum = 1.0 / this->num_batches_tracked.template item<double>();
    }
    return sync_batch_norm(
        input, {this->weight, this->bias, this->running_mean, this->running_var, momentum, this->options.eps()},
        *communicator_);
  }

 private:
  Communicator* communicator_;
};

class SyncBatchNorm1dImpl : public SyncBatchNormBase<1, SyncBatchNorm1dImpl> {
 public:
  using SyncBatchNormBase::SyncBatchNormBase;

 protected:
  void _check_input_dim(const at::Tensor& input) override;  // [n, C] or [n, C, L]
};

class SyncBatchNorm2dImpl : public SyncBatchNormBase<2, SyncBatchNorm2dImpl> {
 public:
  using SyncBatchNormBase::SyncBatchNormBase;

 protected:
  void _check_input_dim(const at::Tensor& input) override;  // [n, C, H, W]
};

class SyncBatchNorm3dImpl : public SyncBatchNormBase<3, SyncBatchNorm3dImpl> {
 public:
  using SyncBatchNormBase::SyncBatchNormBase;

 protected:
  void _check_input_dim(const at::Tensor& input) override;  // [n, C, D, H, W]
};

// Holders, as torch's layers are: SyncBatchNorm2d(64, communicator).
TORCH_MODULE(SyncBatchNorm1d);
TORCH_MODULE(SyncBatchNorm2d);
TORCH_MODULE(SyncBatchNorm3d);

}  // namespace lockstep
