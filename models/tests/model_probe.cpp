// One forward and backward of a model, for models_against_pytorch.py.
//   model_probe MODEL SEED CHANNELS HEIGHT WIDTH CLASSES INPUT TARGETS OUTPUT
// INPUT: raw float images; TARGETS: raw int64. OUTPUT: raw float: initial parameters, logits, loss, gradients.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>

#include <fstream>
#include <iostream>
#include <iterator>

#include "lockstep/models/registry.h"

namespace lockstep {
namespace {

at::Tensor read_all(const char* path, at::ScalarType type, std::vector<std::int64_t> shape_of_one) {
  std::ifstream in(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  auto shape = std::move(shape_of_one);
  shape.insert(shape.begin(), -1);
  auto values = at::empty({static_cast<std::int64_t>(bytes.size() / c10::elementSize(type))}, type);
  bytes.copy(static_cast<char*>(values.data_ptr()), bytes.size());
  return values.view(shape);
}

void probe(char** argument) {
  auto generator = at::detail::getDefaultCPUGenerator();
  generator.set_current_seed(std::stoull(argument[2]));  // what torch::manual_seed does
  const ModelInput shape{std::stoll(argument[3]), std::stoll(argument[4]), std::stoll(argument[5]),
                         std::stoll(argument[6])};
  const auto model = make_model(argument[1], shape);
  std::ofstream out(argument[9], std::ios::binary);
  const auto write = [&](const at::Tensor& tensor) {
    const auto values = tensor.contiguous();
    out.write(static_cast<const char*>(values.const_data_ptr()), static_cast<std::streamsize>(values.nbytes()));
  };
  for (const auto& parameter : model->parameters()) write(parameter);
  const auto logits = model->forward(read_all(argument[7], at::kFloat, {shape.channels, shape.height, shape.width}));
  const auto loss = at::cross_entropy_loss(logits, read_all(argument[8], at::kLong, {}));
  loss.backward();
  write(logits);
  write(loss);
  for (const auto& parameter : model->parameters()) write(parameter.grad());
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  if (argc != 10) return 2;
  try {
    lockstep::probe(argv);
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
  return 0;
}
