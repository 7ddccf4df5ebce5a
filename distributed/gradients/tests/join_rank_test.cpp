// Ranks that run out of samples at different times, and ranks whose weights have parted.
#include "lockstep/distributed/gradients/join.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include <algorithm>
#include <set>

#include "chain.h"
#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/make_communicator.h"
#include "lockstep/distributed/communicator/self_communicator.h"
#include "lockstep/distributed/gradients/replica_check.h"
#include "lockstep/distributed/optimizer/fused_sgd.h"

namespace lockstep {
namespace {

using lockstep::testing::Chain;
using lockstep::testing::message_of;
using lockstep::testing::seeded_chain;

constexpr std::int64_t kBatch = 3;

class JoinRanks : public ::testing::Test {
 protected:
  int rank() const { return communicator_->rank(); }
  int ranks() const { return communicator_->size(); }
  // Rank r has r + 1 batches, rank 0 of several none.
  int batches_of(int rank) const { return ranks() == 1 ? 2 : rank == 0 ? 0 : rank + 1; }

  at::Tensor loss_of(Chain& net, int rank, int round) const {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(100 * static_cast<std::uint64_t>(rank) + round);
    const at::Tensor input = at::randn({kBatch, 5}, generator), target = at::randn({kBatch, 3}, generator);
    return at::mse_loss(net.forward(input), target);
  }

  int train(DataParallel& model, Chain& net, JoinMean mean) {
    FusedSgd optimizer(model, {.learning_rate = 0.1, .momentum = 0.9});
    Join join(model, mean);
    int round = 0;
    for (; join.any(round < batches_of(rank())); ++round) {
      model.zero_grad();
      if (round < batches_of(rank()))
        (loss_of(net, rank(), round) * join.weight()).backward();
      else
        model.synchronize();
      optimizer.step();
    }
    EXPECT_EQ(join.active(), 0);
    return round;
  }

  // One process with the batches of all ranks.
  int train_alone(Chain& net, JoinMean mean) {
    SelfCommunicator alone;
    DataParallel model(net, alone);
    FusedSgd optimizer(model, {.learning_rate = 0.1, .momentum = 0.9});
    int round = 0;
    for (;; ++round) {
      at::Tensor sum;
      int active = 0;
      for (int other = 0; other < ranks(); ++other) {
        if (round >= batches_of(other)) continue;
        const at::Tensor loss = loss_of(net, other, round);
        sum = sum.defined() ? sum + loss : loss;
        ++active;
      }
      if (active == 0) return round;
      model.zero_grad();
      (sum / (mean == JoinMean::of_all_ranks ? ranks() : active)).backward();
      optimizer.step();
    }
  }

  std::unique_ptr<Communicator> communicator_ = make_communicator(MPI_COMM_WORLD, {});
};

TEST_F(JoinRanks, TrainsOnAllSamplesAsOneProcessWould) {
  for (const auto mean : {JoinMean::of_active_ranks, JoinMean::of_all_ranks}) {
    const auto ours = seeded_chain(), expected = seeded_chain();
    DataParallel model(*ours, *communicator_);
    const int rounds = train(model, *ours, mean);
    EXPECT_EQ(rounds, train_alone(*expected, mean));
    EXPECT_EQ(rounds, ranks() == 1 ? 2 : ranks());
    const auto found = ours->parameters(), wanted = expected->parameters();
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_TRUE(at::allclose(found[i], wanted[i], 1e-5, 1e-6)) << "parameter " << i;
    }
    EXPECT_FALSE(find_replica_difference(model));
  }
}

TEST_F(JoinRanks, TheTwoMeansDifferWhereARankHasNoBatch) {
  const auto net = seeded_chain();
  DataParallel model(*net, *communicator_);
  Join active(model), all(model, JoinMean::of_all_ranks);
  const bool has_batch = rank() == 0;
  EXPECT_TRUE(active.any(has_batch));
  EXPECT_TRUE(all.any(has_batch));
  EXPECT_EQ(active.active(), 1);
  EXPECT_EQ(active.weight(), ranks());
  EXPECT_EQ(all.weight(), 1);
  EXPECT_FALSE(active.any(false));
}

using ReplicaCheck = JoinRanks;

TEST_F(ReplicaCheck, NamesTheRankAndTheParameterWhoseBitFlipped) {
  if (ranks() == 1) GTEST_SKIP() << "one rank has nobody to differ from";
  const auto net = seeded_chain();
  DataParallel model(*net, *communicator_);
  EXPECT_FALSE(find_replica_difference(model));
  for (int culprit = 0; culprit < ranks(); ++culprit) {
    auto* const word = static_cast<std::uint32_t*>(net->b->bias.data_ptr()) + 2;
    if (rank() == culprit) *word ^= 1;  // the last bit of the mantissa
    const auto difference = find_replica_difference(model);
    ASSERT_TRUE(difference);
    EXPECT_EQ(difference->parameter, "b.bias");
    EXPECT_EQ(difference->parameters, 1);
    EXPECT_EQ(difference->has_majority, ranks() > 2);
    EXPECT_EQ(difference->ranks, ranks() > 2 ? std::vector<int>{culprit} : (std::vector<int>{0, 1}));
    const std::string message = message_of([&] { check_replicas(model); });
    EXPECT_NE(message.find("'b.bias'"), std::string::npos) << message;
    if (rank() == culprit) *word ^= 1;
    EXPECT_FALSE(find_replica_difference(model));
  }
}

TEST_F(ReplicaCheck, CountsAllThatDiffer) {
  if (ranks() != 4) GTEST_SKIP() << "for 4 ranks";
  const auto net = seeded_chain();
  DataParallel model(*net, *communicator_);
  const c10::AutoGradMode no_graph(false);
  if (rank() >= 2) net->b->weight.add_(1);
  if (rank() == 1) net->c->weight.add_(1);
  const auto difference = find_replica_difference(model);
  ASSERT_TRUE(difference);
  EXPECT_EQ(
      difference->message(),
      "the weights of ranks 0, 1, 2 and 3 differ, and no values are those of most ranks, first in parameter 'b.weight' "
      "and then in 1 more");
}

TEST(Digest, SeesEveryBitAndNothingElse) {
  for (const std::int64_t count : {1, 7, 8, 9, 31, 33}) {
    at::Tensor values = at::zeros({count});
    std::set<std::uint64_t> digests = {digest_of(values)};
    auto* const words = static_cast<std::uint32_t*>(values.data_ptr());
    for (std::int64_t i = 0; i < count; ++i) {
      for (int bit = 0; bit < 32; ++bit) {
        words[i] ^= 1u << bit;
        digests.insert(digest_of(values));
        words[i] ^= 1u << bit;
      }
    }
    EXPECT_EQ(static_cast<std::int64_t>(digests.size()), 32 * count + 1);
    EXPECT_EQ(digest_of(values), digest_of(values.clone()));
    digests.insert(digest_of(at::zeros({count + 1})));
    EXPECT_EQ(static_cast<std::int64_t>(digests.size()), 32 * count + 2);
  }
}

}  // namespace
}  // namespace lockstep
