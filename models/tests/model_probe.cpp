// One step of a model without an optimizer, for models_against_pytorch.py.
//   model_probe MODEL SEED CHANNELS HEIGHT WIDTH CLASSES TOKENS PRODUCTS FOLDER
// PRODUCTS: "libtorch" for its matrix products everywhere, "own" for the model's choice (product.h). For images TOKENS
// is 0; else CLASSES is the vocabulary. FOLDER holds, as raw numbers: input (float32 images or int64 tokens), targets
// (int64) and, where the model shall not keep its initial values, weights (parameters, then buffers). Written there:
// names, a line per parameter, then per buffer; and output: initial parameters and buffers; logits and loss in training
// mode; gradients; buffers afterwards; logits in eval mode.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string_view>

#include "lockstep/models/product.h"
#include "lockstep/models/registry.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

std::string read_all(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

at::Tensor read_tensor(const fs::path& path, at::ScalarType type, std::vector<std::int64_t> shape_of_one) {
  const std::string bytes = read_all(path);
  auto shape = std::move(shape_of_one);
  shape.insert(shape.begin(), -1);
  auto values = at::empty({static_cast<std::int64_t>(bytes.size() / c10::elementSize(type))}, type);
  bytes.copy(static_cast<char*>(values.data_ptr()), bytes.size());
  return values.view(shape);
}

void write(std::ostream& out, const at::Tensor& tensor) {
  const auto values = tensor.contiguous();
  out.write(static_cast<const char*>(values.const_data_ptr()), static_cast<std::streamsize>(values.nbytes()));
}

void replace(const std::vector<at::Tensor>& tensors, const fs::path& path) {
  const std::string bytes = read_all(path);
  const c10::AutoGradMode no_grad(false);
  std::size_t at = 0;
  for (const auto& tensor : tensors) {
    if (at + tensor.nbytes() > bytes.size()) throw std::runtime_error("too few weights");
    std::memcpy(tensor.data_ptr(), bytes.data() + at, tensor.nbytes());
    at += tensor.nbytes();
  }
  if (at != bytes.size()) throw std::runtime_error("too many weights");
}

at::Tensor loss_of(const at::Tensor& logits, const at::Tensor& targets) {
  return at::cross_entropy_loss(logits.flatten(0, -2), targets.flatten());
}

void write_names(const fs::path& path, const Model& model) {
  std::ofstream out(path);
  for (const auto& item : model.named_parameters()) out << item.key() << "\n";
  for (const auto& item : model.named_buffers()) out << item.key() << "\n";
}

void probe(char** argument) {
  auto generator = at::detail::getDefaultCPUGenerator();
  generator.set_current_seed(std::stoull(argument[2]));  // what torch::manual_seed does
  const auto number = [&](int i) { return std::stoll(argument[i]); };
  const ModelInput shape = number(7) > 0 ? ModelInput{.sequence_length = number(7), .vocabulary = number(6)}
                                         : ModelInput{number(3), number(4), number(5), number(6)};
  if (std::string_view(argument[8]) == "libtorch") set_products_by_onednn(false);
  const fs::path folder = argument[9];
  const auto model = make_model(argument[1], shape);
  std::vector<at::Tensor> tensors = model->parameters();
  for (const auto& buffer : model->buffers()) tensors.push_back(buffer);
  write_names(folder / "names", *model);
  std::ofstream out(folder / "output", std::ios::binary);
  for (const auto& tensor : tensors) write(out, tensor);
  if (fs::exists(folder / "weights")) replace(tensors, folder / "weights");

  const bool tokens = shape.sequence_length > 0;
  const at::Tensor input = tokens
                               ? read_tensor(folder / "input", at::kLong, {shape.sequence_length})
                               : read_tensor(folder / "input", at::kFloat, {shape.channels, shape.height, shape.width});
  const at::Tensor targets = read_tensor(folder / "targets", at::kLong, {});
  const at::Tensor logits = model->forward(input), loss = loss_of(logits, targets);
  loss.backward();
  write(out, logits);
  write(out, loss);
  for (const auto& parameter : model->parameters()) write(out, parameter.grad());
  for (const auto& buffer : model->buffers()) write(out, buffer);
  model->eval();
  write(out, model->forward(input));
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
