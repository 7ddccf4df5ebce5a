// DataParallel in one process: its views, hooks and events, alone and beside a rank that mirrors this one.
#include "lockstep/distributed/gradients/data_parallel.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/modules/linear.h>

#include "chain.h"
#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/self_communicator.h"
#include "mirror_communicator.h"

namespace lockstep {
namespace {

using namespace lockstep::testing;  // NOLINT: the chain and its helpers
using torch::nn::Linear;

std::vector<at::Tensor> plain_gradients(int backwards, bool skip = false) {
  auto module = seeded_chain();
  for (int i = 0; i < backwards; ++i) module->forward(input(), skip).square().sum().backward();
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : module->parameters()) gradients.push_back(parameter.grad());
  return gradients;
}

void expect_gradients(const torch::nn::Module& module, const std::vector<at::Tensor>& expected) {
  const auto parameters = module.parameters();
  ASSERT_EQ(parameters.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(parameters[i].grad().defined(), expected[i].defined()) << i;
    EXPECT_TRUE(!expected[i].defined() || at::equal(parameters[i].grad(), expected[i])) << i;
  }
}

TEST(DataParallel, ParametersBecomeViewsAndKeepTheirValues) {
  SelfCommunicator self;
  auto module = seeded_chain();
  const auto before = seeded_chain()->parameters();
  DataParallel parallel(*module, self);
  const auto* begin = parallel.flat_parameters().const_data_ptr<float>();
  const auto* end = begin + parallel.plan().total_count;
  const auto now = module->parameters();
  for (std::size_t i = 0; i < now.size(); ++i) {
    EXPECT_TRUE(at::equal(now[i], before[i]));
    EXPECT_GE(now[i].const_data_ptr<float>(), begin);
    EXPECT_LE(now[i].const_data_ptr<float>() + now[i].numel(), end);
    EXPECT_TRUE(now[i].is_leaf() && now[i].requires_grad());
  }
  EXPECT_EQ(parallel.parameters()[3].name, "b.bias");
}

TEST(DataParallel, GradientsAreThoseOfPlainBackward) {
  SelfCommunicator self;
  MirrorCommunicator mirror;
  for (Communicator* communicator : {static_cast<Communicator*>(&self), static_cast<Communicator*>(&mirror)}) {
    auto module = seeded_chain();
    DataParallel parallel(*module, *communicator, {.bucket_bytes = 100, .first_bucket_bytes = 1});
    for (int step = 0; step < 3; ++step) {
      parallel.zero_grad();
      module->forward(input()).square().sum().backward();
      expect_gradients(*module, plain_gradients(1));
      const auto places = parallel.gradients_in_place();
      for (std::size_t i = 0; i < places.size(); ++i)
        EXPECT_EQ(places[i], parallel.tensors()[i].grad().const_data_ptr<float>());
      parallel.prepare_update();
      expect_gradients(*module, plain_gradients(1));
      for (const auto& bucket : parallel.plan().buckets) {
        for (const auto& slot : bucket.slots) {
          EXPECT_EQ(parallel.tensors()[slot.parameter].grad().const_data_ptr<float>(),
                    parallel.flat_gradients().const_data_ptr<float>() + slot.offset);
        }
      }
    }
  }
}

TEST(DataParallel, NoSyncAccumulatesAndTheNextBackwardSendsTheSum) {
  MirrorCommunicator mirror;
  auto module = seeded_chain();
  DataParallel parallel(*module, mirror);
  mirror.events.clear();
  parallel.zero_grad();
  {
    const auto pause = parallel.no_sync();
    module->forward(input()).square().sum().backward();
    module->forward(input()).square().sum().backward();
  }
  EXPECT_TRUE(mirror.events.empty());
  EXPECT_TRUE(parallel.has_local_gradients());
  module->forward(input()).square().sum().backward();
  EXPECT_EQ(mirror.events.size(), 2u) << "a bucket, and who used what";
  EXPECT_FALSE(parallel.has_local_gradients());
  expect_gradients(*module, plain_gradients(3));
}

TEST(DataParallel, BackwardTwiceAddsToTheMean) {
  MirrorCommunicator mirror;
  auto module = seeded_chain();
  DataParallel parallel(*module, mirror);
  parallel.zero_grad();
  module->forward(input()).square().sum().backward();
  module->forward(input()).square().sum().backward();
  expect_gradients(*module, plain_gradients(2));
}

TEST(DataParallel, AParameterNobodyUsedKeepsNoGradient) {
  SelfCommunicator self;
  MirrorCommunicator mirror;
  for (Communicator* communicator : {static_cast<Communicator*>(&self), static_cast<Communicator*>(&mirror)}) {
    auto module = seeded_chain();
    DataParallel parallel(*module, *communicator);
    parallel.zero_grad();
    module->forward(input()).square().sum().backward();
    parallel.zero_grad();
    module->forward(input(), true).square().sum().backward();
    expect_gradients(*module, plain_gradients(1, true));
    EXPECT_EQ(parallel.has_gradient(), (std::vector<bool>{true, true, false, false, true, true}));
    const auto& slot = parallel.plan().buckets[0].slots[2];  // b.bias, by the last-first order
    EXPECT_EQ(parallel.flat_gradients().narrow(0, slot.offset, slot.count).abs().sum().item<float>(), 0);
  }
}

TEST(DataParallel, AGradientOfTheOtherRankArrivesWhereThisOneHadNone) {
  MirrorCommunicator mirror;
  auto module = seeded_chain();
  DataParallel parallel(*module, mirror);
  parallel.zero_grad();
  mirror.on_all_reduce = [&](Buffer buffer) {  // the other rank used b, with a gradient of 6: the mean is 3
    auto* values = static_cast<float*>(buffer.data);
    if (buffer.count == 6) {  // the flags
      for (int parameter : {2, 3}) values[parameter] = 1;
      return;
    }
    for (const auto& slot : parallel.plan().buckets[0].slots) {
      if (slot.parameter == 2 || slot.parameter == 3) std::fill_n(values + slot.offset, slot.count, 3.0f);
    }
  };
  module->forward(input(), true).square().sum().backward();
  EXPECT_EQ(parallel.has_gradient(), std::vector<bool>(6, true));
  EXPECT_TRUE(at::equal(module->b->weight.grad(), at::ones({7, 7}).mul_(3)));
}

TEST(DataParallel, SynchronizeWithoutABackwardSendsZeros) {
  MirrorCommunicator mirror;
  auto module = seeded_chain();
  DataParallel parallel(*module, mirror);
  parallel.flat_gradients().fill_(5);
  parallel.zero_grad();
  mirror.events.clear();
  parallel.synchronize();
  parallel.synchronize();
  EXPECT_EQ(mirror.events.size(), 2u) << "a bucket, and who used what";
  EXPECT_EQ(parallel.flat_gradients().narrow(0, 0, 3).abs().sum().item<float>(), 0);
  EXPECT_FALSE(module->a->weight.grad().defined());
}

// The events show the overlap: the last layer's bucket is on its way before backward has reached the first layer.
TEST(DataParallel, ABucketStartsWhileBackwardGoesOn) {
  MirrorCommunicator mirror;
  auto module = seeded_chain();
  DataParallel parallel(*module, mirror, {.bucket_bytes = 1 << 20, .first_bucket_bytes = 160});
  ASSERT_EQ(parallel.plan().buckets.size(), 2u);
  mirror.events.clear();
  parallel.zero_grad();
  auto x = input().requires_grad_();
  x.register_hook([&](const at::Tensor& gradient) {
    mirror.note("gradient of the input");
    return gradient;
  });
  module->forward(x).square().sum().backward();
  mirror.note("backward returned");
  const auto reduced = [&](int bucket) {
    return "all_reduce " + std::to_string(parallel.plan().buckets[bucket].count) + " average";
  };
  ASSERT_EQ(mirror.events.size(), 5u);
  EXPECT_EQ(mirror.events[0], reduced(0));
  EXPECT_EQ(std::count(mirror.events.begin() + 1, mirror.events.end() - 2, reduced(1)), 1);
  EXPECT_EQ(mirror.events[3], "all_reduce 6 sum") << "who used which parameter";
  EXPECT_EQ(mirror.events[4], "backward returned");
}

TEST(DataParallel, BucketsStartInPlanOrderEvenWhenFilledInAnother) {
  MirrorCommunicator mirror;
  auto module = seeded_chain();
  DataParallel parallel(*module, mirror, {.bucket_bytes = 1, .first_bucket_bytes = 1});
  mirror.events.clear();
  parallel.zero_grad();
  module->forward(input(), true).square().sum().backward();  // b's buckets stay open until the end
  std::vector<std::string> expected;
  for (const auto& bucket : parallel.plan().buckets)
    expected.push_back("all_reduce " + std::to_string(bucket.count) + " average");
  expected.push_back("all_reduce 6 sum");
  EXPECT_EQ(mirror.events, expected);
  EXPECT_EQ(parallel.last_sync().bytes, parallel.plan().total_count * 4);
}

struct Tied : torch::nn::Module {
  Tied() {
    first = register_module("first", Linear(4, 4));
    second = register_module("second", Linear(4, 4));
    second->weight = second->register_parameter("weight_of_first", first->weight);
    table = register_parameter("table", at::ones({2, 3, 5, 4}).contiguous(at::MemoryFormat::ChannelsLast));
    frozen = register_parameter("frozen", at::ones({3}), false);
  }
  Linear first{nullptr}, second{nullptr};
  at::Tensor table, frozen;
};

TEST(DataParallel, TiedFrozenAndChannelsLastParameters) {
  SelfCommunicator self;
  Tied module;
  DataParallel parallel(module, self);
  std::vector<std::string> names;
  for (const auto& info : parallel.parameters()) names.push_back(info.name);
  EXPECT_EQ(names, (std::vector<std::string>{"table", "first.weight", "first.bias", "second.weight", "second.bias"}));
  EXPECT_EQ(module.first->weight.const_data_ptr<float>(), module.second->weight.const_data_ptr<float>());
  EXPECT_TRUE(module.table.is_contiguous(at::MemoryFormat::ChannelsLast));
  parallel.zero_grad();
  (module.first->weight.square().sum() + module.second->weight.sum() + module.table.square().sum()).backward();
  EXPECT_TRUE(at::equal(module.first->weight.grad(), module.first->weight.detach() * 2 + 1));
  EXPECT_TRUE(at::equal(module.table.grad(), at::ones({2, 3, 5, 4}) * 2));
  EXPECT_EQ(module.table.grad().strides(), module.table.strides());
  EXPECT_FALSE(module.frozen.grad().defined());
}

TEST(DataParallel, ModulesAndParallelsMayGoInAnyOrder) {
  SelfCommunicator self;
  auto module = seeded_chain();
  const at::Tensor weight = module->a->weight;
  auto parallel = std::make_unique<DataParallel>(*module, self);
  module->forward(input()).square().sum().backward();
  const at::Tensor gradient = weight.grad().clone();
  const at::Tensor flat = parallel->flat_parameters();
  parallel.reset();
  EXPECT_TRUE(at::equal(weight.grad(), gradient));
  module->forward(input()).square().sum().backward();  // no hook is left behind
  EXPECT_TRUE(at::equal(weight.grad(), gradient * 2));
  weight.detach().fill_(9);
  EXPECT_FALSE((flat == 9).any().item<bool>()) << "the parameter still lives in the flat buffer";
  parallel = std::make_unique<DataParallel>(*module, self);
  module.reset();
  parallel->broadcast_buffers();
}

TEST(DataParallel, RefusesWhatItCannotTrain) {
  SelfCommunicator self;
  const auto refusal = [&](torch::nn::Module& module) { return message_of([&] { DataParallel(module, self); }); };
  torch::nn::Module empty;
  EXPECT_EQ(refusal(empty), "the module has no trainable parameter");
  auto mixed = seeded_chain();
  mixed->b->to(at::kDouble);
  EXPECT_EQ(refusal(*mixed), "trainable parameters have several types: 'a.weight' is Float, 'b.weight' is Double");
  auto taken = seeded_chain();
  const DataParallel owner(*taken, self);
  EXPECT_EQ(refusal(*taken),
            "parameter 'a.weight' already has a hook after accumulation: another DataParallel owns it");
}

TEST(DataParallel, ErrorsInsideBackwardReachItsCaller) {
  SelfCommunicator self;
  auto module = seeded_chain();
  DataParallel parallel(*module, self);
  parallel.zero_grad();
  EXPECT_EQ(message_of([&] { module->forward(input()).square().sum().backward({}, true, true); }),
            "the gradient of 'c.bias' carries a graph of its own (backward with create_graph)");
  parallel.zero_grad();
  module->forward(input()).square().sum().backward();  // it goes on after the error
  expect_gradients(*module, plain_gradients(1));
}

// A layer whose backward runs a backward of its own, as checkpointed activations do.
struct Recomputed : torch::autograd::Function<Recomputed> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, Linear layer) {
    context->save_for_backward({x});
    context->saved_data["weight"] = layer->weight;
    return at::linear(x, layer->weight, layer->bias);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const at::AutoGradMode record(true);
    const auto x = context->get_saved_variables()[0].detach().requires_grad_();
    at::linear(x, context->saved_data["weight"].toTensor()).backward(gradients[0]);
    return {x.grad(), at::Tensor()};
  }
};

TEST(DataParallel, ABackwardWithinABackwardIsRefused) {
  SelfCommunicator self;
  auto module = seeded_chain();
  DataParallel parallel(*module, self);
  parallel.zero_grad();
  const auto x = input().requires_grad_();
  EXPECT_EQ(message_of([&] { Recomputed::apply(x, module->a).sum().backward(); }),
            "a backward inside another backward completed gradients of a DataParallel module");
  parallel.zero_grad();
  {
    const auto pause = parallel.no_sync();
    Recomputed::apply(x, module->a).sum().backward();
  }
  parallel.synchronize();
  EXPECT_TRUE(parallel.has_gradient()[0]);
}

}  // namespace
}  // namespace lockstep
