// Runs an optimizer over gradients from a file, for optimizers_against_pytorch.py.
//   optimizer_replay {INPUT OUTPUT float|double STEPS SHAPES OPTIMIZER OPTIONS}...
// SHAPES: of each parameter, "7,10x3x3". OPTIMIZER: sgd, adam, adamw, lamb, lars or muon; OPTIONS:
// "learning_rate=0.1,…". INPUT: raw values: the parameters, then for each step and parameter a flag (0: no gradient)
// and the gradient. The learning rate halves after half of the steps. OUTPUT: the parameters, then the state without
// the counts of steps.
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/nn/module.h>

#include <fstream>
#include <iostream>
#include <sstream>

#include "lockstep/distributed/communicator/self_communicator.h"
#include "lockstep/distributed/optimizer/tests/optimizer_by_name.h"

namespace lockstep {
namespace {

at::Tensor read_values(std::istream& in, const std::vector<std::int64_t>& shape, at::ScalarType type) {
  auto values = at::empty(shape, type);
  in.read(static_cast<char*>(values.data_ptr()), static_cast<std::streamsize>(values.nbytes()));
  if (!in) throw std::runtime_error("the input ends too early");
  return values;
}

void write_values(std::ostream& out, const at::Tensor& values) {
  out.write(static_cast<const char*>(values.const_data_ptr()), static_cast<std::streamsize>(values.nbytes()));
}

std::vector<std::int64_t> parse_shape(const std::string& text) {
  std::vector<std::int64_t> shape;
  std::istringstream sizes(text);
  for (std::string size; std::getline(sizes, size, 'x');) shape.push_back(std::stoll(size));
  return shape;
}

void replay(char** argument) {
  std::ifstream in(argument[0], std::ios::binary);
  std::ofstream out(argument[1], std::ios::binary);
  const auto type = std::string(argument[2]) == "double" ? at::kDouble : at::kFloat;
  const int steps = std::stoi(argument[3]);
  torch::nn::Module module;
  std::istringstream shapes(argument[4]);
  for (std::string shape; std::getline(shapes, shape, ',');) {
    module.register_parameter("p" + std::to_string(module.parameters().size()),
                              read_values(in, parse_shape(shape), type));
  }
  SelfCommunicator communicator;
  DataParallel parallel(module, communicator);
  const auto optimizer = testing::optimizer_by_name(parallel, argument[5], testing::parse_values(argument[6]));
  for (int step = 0; step < steps; ++step) {
    parallel.zero_grad();
    at::Tensor loss = at::zeros({}, type);
    for (const auto& parameter : module.parameters()) {
      const bool used = read_values(in, {}, type).item<double>() != 0;
      const auto gradient = read_values(in, parameter.sizes().vec(), type);
      if (used) loss = loss + (parameter * gradient).sum();  // whose gradient is `gradient`, exactly
    }
    if (loss.requires_grad()) loss.backward();
    parallel.synchronize();
    if (step == steps / 2) optimizer->set_learning_rate(optimizer->learning_rate() / 2);
    optimizer->step();
  }
  for (const auto& parameter : module.parameters()) write_values(out, parameter);
  for (const auto& [name, values] : optimizer->state())
    if (name != "steps") write_values(out, values);
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  constexpr int per_case = 7;
  if (argc % per_case != 1) return 2;
  try {
    for (int i = 1; i < argc; i += per_case) lockstep::replay(argv + i);
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
  return 0;
}
