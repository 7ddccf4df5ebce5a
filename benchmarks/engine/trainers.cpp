#include "trainers.h"

#include <ATen/ops/zeros_like.h>

#include "lockstep/distributed/optimizer/sgd_kernel.h"

float LockstepTrainer::step() {
  model_.zero_grad();
  model_.broadcast_buffers();
  const at::Tensor loss = workload_.loss(next_batch());
  loss.backward();
  optimizer_.step();
  return loss.item<float>();
}

BareTrainer::BareTrainer(Workload workload)
    : Trainer(std::move(workload)), parameters_(workload_.module->parameters()) {
  for (const auto& parameter : parameters_) momenta_.push_back(at::zeros_like(parameter));
}

float BareTrainer::step() {
  for (const auto& parameter : parameters_) parameter.mutable_grad().reset();
  const at::Tensor loss = workload_.loss(next_batch());
  loss.backward();
  const lockstep::SgdCoefficients<float> coefficients = {
      .learning_rate = static_cast<float>(-kLearningRate), .momentum = static_cast<float>(kMomentum), .first = first_};
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& parameter = parameters_[i];
    lockstep::sgd_kernel(parameter.data_ptr<float>(), parameter.grad().contiguous().const_data_ptr<float>(),
                         momenta_[i].data_ptr<float>(), parameter.numel(), coefficients);
  }
  first_ = false;
  return loss.item<float>();
}
