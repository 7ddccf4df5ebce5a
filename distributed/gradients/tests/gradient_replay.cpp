// Runs the scenarios of gradients_against_ddp.py on the ranks mpirun started, and writes the gradients of each.
//   gradient_replay INPUT OUTPUT     OUTPUT gets ".RANK" appended
// INPUT, raw floats: the parameters of a (6 -> 5), b (5 -> 5), c (5 -> 3), then for each rank two inputs [4, 6].
// OUTPUT: for each scenario and parameter a flag (0: no gradient) and the gradient.
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros_like.h>
#include <mpi.h>
#include <torch/nn/modules/linear.h>

#include <fstream>
#include <iostream>

#include "lockstep/distributed/communicator/make_communicator.h"
#include "lockstep/distributed/gradients/data_parallel.h"

namespace lockstep {
namespace {

struct Chain : torch::nn::Module {
  torch::nn::Linear a{register_module("a", torch::nn::Linear(6, 5))};
  torch::nn::Linear b{register_module("b", torch::nn::Linear(5, 5))};
  torch::nn::Linear c{register_module("c", torch::nn::Linear(5, 3))};
  at::Tensor loss(const at::Tensor& x, bool use_b = true) {
    auto hidden = a(x).tanh();
    if (use_b) hidden = b(hidden).tanh();
    return c(hidden).square().mean();
  }
};

at::Tensor read_values(std::istream& in, at::IntArrayRef shape) {
  auto values = at::empty(shape);
  in.read(static_cast<char*>(values.data_ptr()), static_cast<std::streamsize>(values.nbytes()));
  if (!in) throw std::runtime_error("the input ends too early");
  return values;
}

void run(const std::string& input, const std::string& output) {
  const auto communicator = make_communicator(MPI_COMM_WORLD, {.timeout_seconds = 60});
  const int rank = communicator->rank();
  std::ifstream in(input, std::ios::binary);
  Chain net;
  for (auto& parameter : net.parameters()) parameter.detach().copy_(read_values(in, parameter.sizes()));
  std::vector<at::Tensor> x;
  for (int i = 0; i < 2 * communicator->size(); ++i) x.push_back(read_values(in, {4, 6}));
  const auto first = x[2 * rank], second = x[2 * rank + 1];
  DataParallel parallel(net, *communicator, {.bucket_bytes = 100, .first_bucket_bytes = 50});

  std::ofstream out(output + "." + std::to_string(rank), std::ios::binary);
  const auto scenario = [&](const auto& backwards) {
    parallel.zero_grad();
    backwards();
    for (const auto& parameter : net.parameters()) {
      const bool has = parameter.grad().defined();
      const float flag = has ? 1 : 0;
      const auto gradient = has ? parameter.grad().contiguous() : at::zeros_like(parameter);
      out.write(reinterpret_cast<const char*>(&flag), sizeof flag);
      out.write(static_cast<const char*>(gradient.const_data_ptr()), static_cast<std::streamsize>(gradient.nbytes()));
    }
  };
  scenario([&] { net.loss(first).backward(); });
  scenario([&] { net.loss(first, rank == 0).backward(); });
  scenario([&] { net.loss(first, false).backward(); });
  scenario([&] {
    {
      const auto pause = parallel.no_sync();
      net.loss(first).backward();
    }
    net.loss(second).backward();
  });
  scenario([&] {
    {
      const auto pause = parallel.no_sync();
      net.loss(first, true).backward();  // b is used only here
    }
    net.loss(second, false).backward();
  });
  scenario([&] {
    net.loss(first).backward();
    net.loss(second).backward();
  });
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  try {
    if (argc != 3) throw std::runtime_error("usage: gradient_replay INPUT OUTPUT");
    lockstep::run(argv[1], argv[2]);
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
  return 0;
}
