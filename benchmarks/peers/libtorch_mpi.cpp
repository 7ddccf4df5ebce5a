// The CIFAR-10 tutorial on several ranks as a C++ programmer writes it by hand: LibTorch, one flat buffer that all
// gradients are views of, one MPI_Allreduce in place between backward and torch::optim::SGD. Nothing of Lockstep.
//
//   mpirun -n 2 --bind-to core libtorch_mpi FOLDER BATCH STEPS [--warm-up 20] [--flat-parameters] [--output FILE]
//
// FOLDER: weights.f32, the initial values of all parameters; inputs_R.f32 [STEPS, BATCH, 3, 32, 32] and targets_R.i64
// [STEPS, BATCH], what rank R trains on, normalised and in order. All of it is in memory before the first step.
// Prints one JSON line; FILE gets the final parameters. --flat-parameters: the parameters are views of one buffer too,
// and the optimizer sees a single tensor.
#include <ATen/Parallel.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <mpi.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "tutorial_net.h"

namespace {

at::Tensor read(const std::string& path, std::vector<std::int64_t> shape, at::ScalarType type) {
  at::Tensor tensor = at::empty(shape, type);
  std::ifstream file(path, std::ios::binary);
  file.read(static_cast<char*>(tensor.data_ptr()), static_cast<std::streamsize>(tensor.nbytes()));
  if (!file) throw std::runtime_error("cannot read " + std::to_string(tensor.nbytes()) + " bytes of " + path);
  return tensor;
}

// One buffer, and for each parameter the view of its part.
struct Flat {
  explicit Flat(const std::vector<at::Tensor>& parameters) {
    std::int64_t count = 0, offset = 0;
    for (const auto& p : parameters) count += p.numel();
    buffer = at::zeros({count});
    for (const auto& p : parameters) {
      views.push_back(buffer.narrow(0, offset, p.numel()).view(p.sizes()));
      offset += p.numel();
    }
  }
  at::Tensor buffer;
  std::vector<at::Tensor> views;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int train(int argc, char** argv) {
  if (argc < 4) throw std::runtime_error("expected FOLDER BATCH STEPS");
  const std::string folder = argv[1];
  const std::int64_t batch = std::atoll(argv[2]), steps = std::atoll(argv[3]);
  std::int64_t warm_up = 20;
  bool flat_parameters = false;
  std::string output;
  for (int i = 4; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--flat-parameters") {
      flat_parameters = true;
    } else if (i + 1 < argc && option == "--warm-up") {
      warm_up = std::atoll(argv[++i]);
    } else if (i + 1 < argc && option == "--output") {
      output = argv[++i];
    } else {
      throw std::runtime_error("there is no option " + option);
    }
  }
  int rank = 0, world = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &world);
  at::set_num_threads(1);

  TutorialNet net;
  auto parameters = net.parameters();
  Flat gradients(parameters), values(parameters);
  values.buffer.copy_(read(folder + "/weights.f32", {values.buffer.numel()}, at::kFloat));
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (flat_parameters) {
      parameters[i].set_data(values.views[i]);
    } else {
      parameters[i].data().copy_(values.views[i]);
    }
    parameters[i].mutable_grad() = gradients.views[i];
  }
  std::vector<at::Tensor> updated = parameters;
  if (flat_parameters) {
    updated = {values.buffer};
    updated[0].mutable_grad() = gradients.buffer;
  }
  torch::optim::SGD optimizer(updated, torch::optim::SGDOptions(0.001).momentum(0.9));
  const std::string number = std::to_string(rank);
  const at::Tensor inputs = read(folder + "/inputs_" + number + ".f32", {steps, batch, 3, 32, 32}, at::kFloat);
  const at::Tensor targets = read(folder + "/targets_" + number + ".i64", {steps, batch}, at::kLong);

  std::vector<double> seconds;
  float last_loss = 0;
  MPI_Barrier(MPI_COMM_WORLD);
  for (std::int64_t step = 0; step < steps; ++step) {
    const auto begin = std::chrono::steady_clock::now();
    gradients.buffer.zero_();
    const at::Tensor loss = at::cross_entropy_loss(net.forward(inputs[step]), targets[step]);
    (world > 1 ? loss / world : loss).backward();  // the sum over ranks is then the mean
    if (world > 1)
      MPI_Allreduce(MPI_IN_PLACE, gradients.buffer.data_ptr(), static_cast<int>(gradients.buffer.numel()), MPI_FLOAT,
                    MPI_SUM, MPI_COMM_WORLD);
    optimizer.step();
    last_loss = loss.item<float>();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  seconds.erase(seconds.begin(), seconds.begin() + std::min<std::int64_t>(warm_up, steps - 1));
  if (rank != 0) return 0;
  const nlohmann::json line = {
      {"peer", "LibTorch and MPI_Allreduce by hand"}, {"world_size", world},    {"batch_size", batch}, {"steps", steps},
      {"step_seconds", {{"p50", median(seconds)}}},   {"train_loss", last_loss}};
  std::printf("%s\n", line.dump().c_str());
  if (output.empty()) return 0;
  std::ofstream file(output, std::ios::binary);
  for (const auto& p : parameters) {
    const at::Tensor value = p.detach().contiguous();
    file.write(static_cast<const char*>(value.const_data_ptr()), static_cast<std::streamsize>(value.nbytes()));
  }
  return file.flush() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  try {
    const int code = train(argc, argv);
    MPI_Finalize();
    return code;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "libtorch_mpi: %s\n", e.what());
    return MPI_Abort(MPI_COMM_WORLD, 2);
  }
}
