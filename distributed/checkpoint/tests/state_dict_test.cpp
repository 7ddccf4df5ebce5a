// Names, order and digest of a module's tensors, and values put back into it.
#include "lockstep/distributed/checkpoint/state_dict.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>

#include <cstring>

#include "lockstep/core/error.h"
#include "lockstep/core/sha256.h"

namespace lockstep {
namespace {

TEST(StateDict, HasPythonsOrder) {
  struct Net : torch::nn::Module {
    Net() {
      register_module("norm", torch::nn::BatchNorm1d(3));
      register_module("head", torch::nn::Linear(3, 2));
      register_buffer("scale", at::zeros({1}));
      register_parameter("bias", at::zeros({2}));
    }
  };
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state_dict(Net())) names.push_back(name);
  // Of Python: the module's parameters, its buffers, then each child the same way.
  EXPECT_EQ(names,
            (std::vector<std::string>{"bias", "scale", "norm.weight", "norm.bias", "norm.running_mean",
                                      "norm.running_var", "norm.num_batches_tracked", "head.weight", "head.bias"}));
}

TEST(StateDict, DigestIsThatOfTheBytes) {
  const float values[] = {1.5f, -2.0f, 0.25f};
  const at::Tensor a = at::zeros({3});
  std::memcpy(a.data_ptr(), values, sizeof values);
  const at::Tensor b = at::full({}, 7, at::kLong);
  const std::int64_t seven = 7;
  std::string bytes(reinterpret_cast<const char*>(values), sizeof values);
  bytes.append(reinterpret_cast<const char*>(&seven), sizeof seven);
  EXPECT_EQ(weights_sha256({{"a", a}, {"b", b}}), sha256(bytes));
  const at::Tensor matrix = at::arange(6, at::kFloat).reshape({2, 3});
  EXPECT_EQ(weights_sha256({{"t", matrix.t()}}), weights_sha256({{"t", matrix.t().contiguous()}})) << "row-major";
}

TEST(StateDict, CopiesAllOrNothing) {
  const NamedTensors model = {{"a", at::zeros({2})}, {"b", at::zeros({2, 2})}};
  const auto refused = [&](const NamedTensors& values, const std::string& word) {
    try {
      copy_into(model, values, "file.h5");
      ADD_FAILURE() << "accepted, looking for " << word;
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.error().kind, ErrorKind::usage);
      EXPECT_NE(failure.error().what.find(word), std::string::npos) << failure.error().what;
    }
    EXPECT_EQ(model[0].second[0].item<float>(), 0) << "nothing was changed";
  };
  const at::Tensor ones = at::full({2}, 1.0f);
  refused({{"a", ones}}, "\"b\"");
  refused({{"a", ones}, {"b", at::full({4}, 1.0f)}}, "[4]");
  refused({{"a", ones}, {"b", at::full({2, 2}, 1.0, at::kDouble)}}, "Double");
  refused({{"a", ones}, {"b", at::full({2, 2}, 1.0f)}, {"c", ones}}, "\"c\"");
  copy_into(model, {{"b", at::full({2, 2}, 3.0f)}, {"a", ones}}, "file.h5");
  EXPECT_EQ(model[1].second[1][1].item<float>(), 3);
}

}  // namespace
}  // namespace lockstep
