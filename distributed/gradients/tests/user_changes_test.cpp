// What user code does to gradients and parameters between backward and step is seen, as torch's own optimizers would.
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "chain.h"
#include "lockstep/distributed/communicator/self_communicator.h"
#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/optimizer/fused_sgd.h"
#include "mirror_communicator.h"

namespace lockstep {
namespace {

using namespace lockstep::testing;  // NOLINT: the chain and its helpers

// A rank without samples must take part whoever has dropped the gradients of the step before.
TEST(UserChanges, SynchronizeSendsAgainAfterAnyZeroGrad) {
  MirrorCommunicator mirror;
  auto module = seeded_chain();
  DataParallel parallel(*module, mirror);
  const auto sends = [&](const std::function<void()>& drop) {
    module->zero_grad();
    module->forward(input()).square().sum().backward();
    drop();
    mirror.events.clear();
    parallel.synchronize();
    return std::count(mirror.events.begin(), mirror.events.end(),
                      "all_reduce " + std::to_string(parallel.plan().total_count) + " average");
  };
  EXPECT_EQ(sends([] {}), 0);
  EXPECT_EQ(sends([&] { module->zero_grad(); }), 1);
  EXPECT_EQ(sends([&] { module->zero_grad(/*set_to_none=*/false); }), 1);
  EXPECT_EQ(sends([&] { parallel.zero_grad(); }), 1);
  EXPECT_EQ(sends([&] { module->b->bias.mutable_grad() = at::ones({7}); }), 1);
}

TEST(UserChanges, UpdatesUseTheGradientsThatTheUserSees) {
  SelfCommunicator self;
  auto module = seeded_chain();
  DataParallel parallel(*module, self);
  FusedSgd optimizer(parallel, {.learning_rate = 1});
  module->forward(input()).square().sum().backward();
  module->a->weight.mutable_grad().reset();                // dropped: not updated
  module->b->bias.mutable_grad() = at::ones({7}).mul_(2);  // replaced: used
  module->c->bias.mutable_grad() = at::zeros({3});         // zero: no change
  const auto before = seeded_chain();
  optimizer.step();
  EXPECT_TRUE(at::equal(module->a->weight, before->a->weight));
  EXPECT_TRUE(at::equal(module->b->bias, before->b->bias.sub(2)));
  EXPECT_TRUE(at::equal(module->c->bias, before->c->bias));
  EXPECT_FALSE(at::equal(module->c->weight, before->c->weight));
  module->zero_grad();
  const auto after = module->c->weight.detach().clone();
  optimizer.step();
  EXPECT_TRUE(at::equal(module->c->weight, after)) << "a step without gradients changes nothing";
}

TEST(UserChanges, AModuleThatMovedIsRefused) {
  SelfCommunicator self;
  auto module = seeded_chain();
  DataParallel parallel(*module, self);
  FusedSgd optimizer(parallel, {});
  module->b->weight.set_data(module->b->weight.detach().clone());
  const std::string message = "parameter 'b.weight' was moved to other memory after DataParallel was made";
  EXPECT_EQ(message_of([&] { parallel.zero_grad(); }), message);
  EXPECT_EQ(message_of([&] { optimizer.step(); }), message);
}

// Under no_sync() as well: what was sent is being read by the other ranks.
TEST(UserChanges, ASentGradientCannotBeAddedTo) {
  MirrorCommunicator mirror;
  auto module = seeded_chain();
  DataParallel parallel(*module, mirror, {.bucket_bytes = 1 << 20, .first_bucket_bytes = 160});
  parallel.zero_grad();
  auto x = input().requires_grad_();
  x.register_hook([&](const at::Tensor& gradient) {
    const auto pause = parallel.no_sync();
    const at::AutoGradMode record(true);
    module->c(at::ones({1, 7})).sum().backward();
    return gradient;
  });
  const std::string message = message_of([&] { module->forward(x).square().sum().backward(); });
  EXPECT_NE(message.find("changed after its bucket was sent"), std::string::npos) << message;
}

}  // namespace
}  // namespace lockstep
