// Runs FusedSgd over gradients from a file, for sgd_against_pytorch.py.
//   sgd_replay {INPUT OUTPUT float|double STEPS COUNTS LEARNING_RATE MOMENTUM DAMPENING WEIGHT_DECAY NESTEROV}...
// COUNTS: elements of each parameter, "7,100". INPUT: raw values: the parameters, then for each step and parameter a
// flag (0: no gradient) and the gradient. The learning rate halves after half of the steps. OUTPUT: the parameters,
// then the momenta.
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <torch/nn/module.h>

#include <fstream>
#include <iostream>
#include <sstream>

#include "lockstep/distributed/communicator/self_communicator.h"
#include "lockstep/distributed/optimizer/fused_sgd.h"

namespace lockstep {
namespace {

at::Tensor read_values(std::istream& in, std::int64_t count, at::ScalarType type) {
  auto values = at::empty({count}, type);
  in.read(static_cast<char*>(values.data_ptr()), static_cast<std::streamsize>(values.nbytes()));
  if (!in) throw std::runtime_error("the input ends too early");
  return values;
}

void write_values(std::ostream& out, const at::Tensor& values) {
  out.write(static_cast<const char*>(values.const_data_ptr()), static_cast<std::streamsize>(values.nbytes()));
}

SgdOptions parse_options(char** argument) {
  return {.learning_rate = std::stod(argument[0]),
          .momentum = std::stod(argument[1]),
          .dampening = std::stod(argument[2]),
          .weight_decay = std::stod(argument[3]),
          .nesterov = std::string(argument[4]) == "1"};
}

void replay(char** argument) {
  std::ifstream in(argument[0], std::ios::binary);
  std::ofstream out(argument[1], std::ios::binary);
  const auto type = std::string(argument[2]) == "double" ? at::kDouble : at::kFloat;
  const int steps = std::stoi(argument[3]);
  torch::nn::Module module;
  std::istringstream counts(argument[4]);
  for (std::string count; std::getline(counts, count, ',');) {
    module.register_parameter("p" + std::to_string(module.parameters().size()),
                              read_values(in, std::stoll(count), type));
  }
  SelfCommunicator communicator;
  DataParallel parallel(module, communicator);
  FusedSgd optimizer(parallel, parse_options(argument + 5));
  for (int step = 0; step < steps; ++step) {
    parallel.zero_grad();
    at::Tensor loss = at::zeros({}, type);
    for (const auto& parameter : module.parameters()) {
      const bool used = read_values(in, 1, type).item<double>() != 0;
      const auto gradient = read_values(in, parameter.numel(), type);
      if (used) loss = loss + (parameter * gradient).sum();  // whose gradient is `gradient`, exactly
    }
    if (loss.requires_grad()) loss.backward();
    parallel.synchronize();
    if (step == steps / 2) optimizer.set_learning_rate(optimizer.learning_rate() / 2);
    optimizer.step();
  }
  for (const auto& parameter : module.parameters()) write_values(out, parameter);
  for (const auto& [name, momentum] : optimizer.state()) write_values(out, momentum);
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  constexpr int per_case = 10;
  if (argc % per_case != 1) return 2;
  try {
    for (int i = 1; i < argc; i += per_case) lockstep::replay(argv + i);
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
  return 0;
}
