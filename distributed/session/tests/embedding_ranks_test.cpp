// Sessions over some ranks of a program that has MPI to itself: side by side, one rank, and when one of the ranks
// fails.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/mpi_support.h"
#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/optimizer/fused_sgd.h"
#include "lockstep/distributed/session/session.h"

namespace lockstep {
namespace {

SessionOptions options(std::optional<std::uint64_t> seed = {}, const std::string& backend = "auto") {
  SessionOptions chosen;
  chosen.device = "cpu";
  chosen.communicator.backend = backend;
  chosen.communicator.timeout_seconds = 60;
  chosen.seed = seed;
  return chosen;
}

int rank_in(MPI_Comm comm) {
  int rank = 0;
  MPI_Comm_rank(comm, &rank);
  return rank;
}

int size_of(MPI_Comm comm) {
  int size = 0;
  MPI_Comm_size(comm, &size);
  return size;
}

// The ranks of MPI_COMM_WORLD with equal colour.
MpiComm ranks_of(int color) { return MpiComm::split(MPI_COMM_WORLD, color, 0); }

struct Trained {
  double first_loss = 0, last_loss = 0;
  at::Tensor parameters;
};

// Learns the product with a fixed vector: rank r of n has rows r, n + r, ... of the samples.
Trained train(Session& session, int hidden, int steps) {
  torch::nn::Sequential net(torch::nn::Linear(4, hidden), torch::nn::Linear(hidden, 1));
  DataParallel model(*net, session.communicator());
  FusedSgd optimizer(model, {.learning_rate = 0.05});
  auto generator = at::make_generator<at::CPUGeneratorImpl>(7);
  const at::Tensor inputs = at::randn({24, 4}, generator);
  const at::Tensor targets = inputs.sum(1, /*keepdim=*/true);
  const int rank = session.rank(), ranks = session.world_size();
  const at::Tensor input = inputs.slice(0, rank, inputs.size(0), ranks);
  const at::Tensor target = targets.slice(0, rank, targets.size(0), ranks);
  Trained result;
  for (int step = 0; step < steps; ++step) {
    model.zero_grad();
    const at::Tensor loss = at::mse_loss(net->forward(input), target);
    loss.backward();
    optimizer.step();
    (step == 0 ? result.first_loss : result.last_loss) = loss.item<double>();
  }
  result.parameters = model.flat_parameters().detach().clone();
  return result;
}

TEST(Embedding, SessionsSideBySideTrainTheirOwnModels) {
  const int color = rank_in(MPI_COMM_WORLD) % 2;
  const MpiComm half = ranks_of(color);
  const auto seed = static_cast<std::uint64_t>(5 + color);
  const int hidden = 3 + color;
  Session session(half.get(), options(seed));
  EXPECT_EQ(session.rank(), half.rank());
  EXPECT_EQ(session.world_size(), half.size());
  EXPECT_EQ(session.local_rank(), half.rank()) << "all ranks of this test share a node";
  EXPECT_EQ(session.local_size(), half.size());
  const Trained together = train(session, hidden, 40);
  EXPECT_LT(together.last_loss, together.first_loss / 10);

  // One rank alone with the same seed and all samples comes to the same values: no other session had a hand in it.
  Session alone(MPI_COMM_SELF, options(seed));
  const Trained truth = train(alone, hidden, 40);
  const auto used =
      truth.parameters.numel() < together.parameters.numel() ? truth.parameters.numel() : together.parameters.numel();
  EXPECT_LT((together.parameters.narrow(0, 0, used) - truth.parameters.narrow(0, 0, used)).abs().max().item<double>(),
            1e-4);
  EXPECT_EQ(alone.world_size(), 1);
  EXPECT_EQ(alone.communicator().name(), "self");
}

TEST(Embedding, SomeRanksTrainAndTheOthersDoNot) {
  if (size_of(MPI_COMM_WORLD) < 4) GTEST_SKIP() << "needs four ranks";
  const int rank = rank_in(MPI_COMM_WORLD);
  const MpiComm odd = ranks_of(rank % 2 == 1 ? 0 : MPI_UNDEFINED);
  if (rank % 2 == 0) {  // as MPI gives it to ranks that take no part
    try {
      const Session session(odd.get(), options());
      ADD_FAILURE() << "was made over MPI_COMM_NULL";
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.error().kind, ErrorKind::usage);
      EXPECT_NE(failure.error().what.find("MPI_COMM_NULL"), std::string::npos) << failure.error().what;
    }
    return;
  }
  Session session(odd.get(), options(3));
  EXPECT_EQ(session.world_size(), 2);
  EXPECT_EQ(session.rank(), rank / 2);
  EXPECT_TRUE(session.run().offline());
  const Trained trained = train(session, 3, 40);
  EXPECT_LT(trained.last_loss, trained.first_loss / 10);
  session.close();
}

TEST(Embedding, LeavesTheProcessAloneUnlessAsked) {
  at::set_num_threads(3);
  at::manual_seed(11);
  const at::Tensor expected = at::randn({4});
  at::manual_seed(11);
  {
    const Session session(MPI_COMM_WORLD, options());
    EXPECT_EQ(at::get_num_threads(), 3);
    EXPECT_TRUE(at::equal(at::randn({4}), expected));
    SessionOptions asked = options(11);
    asked.threads = 2;
    const Session other(MPI_COMM_WORLD, asked);
    EXPECT_EQ(at::get_num_threads(), 2);
    EXPECT_TRUE(at::equal(at::randn({4}), expected));
    other.seed_rank();
    const at::Tensor mine = at::randn({1});
    std::vector<float> all(static_cast<std::size_t>(other.world_size()));
    other.gather_bytes(mine.const_data_ptr(), sizeof(float), all.data());
    EXPECT_TRUE(other.rank() != 0 || all.size() == 1 || all[0] != all[1]) << "two ranks draw the same";
  }
  at::set_num_threads(1);
}

TEST(Embedding, ARunHasOneWriter) {
  char folder[] = "/tmp/lockstep_embedding_XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  setenv("LOCKSTEP_RUN_DIR", folder, 1);
  const MpiComm one = ranks_of(rank_in(MPI_COMM_WORLD));
  const bool all_ranks = size_of(MPI_COMM_WORLD) == 1;
  {
    Session part(one.get(), options());
    EXPECT_EQ(part.run().offline(), !all_ranks);
    SessionOptions asked = options();
    asked.run = RunContext::environment;
    EXPECT_FALSE(Session(one.get(), asked).run().offline());
    Session whole(MPI_COMM_WORLD, options());
    EXPECT_FALSE(whole.run().offline());
    asked.run = RunContext::none;
    EXPECT_TRUE(Session(MPI_COMM_WORLD, asked).run().offline());
  }
  unsetenv("LOCKSTEP_RUN_DIR");
  rmdir(folder);
}

TEST(Embedding, AWrongOptionIsAgreedOn) {
  SessionOptions wrong = options();
  wrong.communicator.backend = "avian";
  try {
    const Session session(MPI_COMM_WORLD, wrong);
    ADD_FAILURE() << "was accepted";
  } catch (const AgreedFailure& failure) {
    EXPECT_EQ(failure.reports(), rank_in(MPI_COMM_WORLD) == 0);
    EXPECT_NE(failure.error().what.find("avian"), std::string::npos) << failure.error().what;
  }
}

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// The last rank throws in the middle of `waiting`, which the others then cannot complete; `tells`: by guard().
void one_rank_throws(const std::string& backend, bool tells, const std::function<void(Session&)>& waiting) {
  const int last = size_of(MPI_COMM_WORLD) - 1;
  std::string caught;
  ErrorKind kind = ErrorKind::usage;
  const double seconds = seconds_of([&] {
    try {
      Session session(MPI_COMM_WORLD, options(1, backend));
      const auto work = [&] {
        train(session, 3, 5);
        if (session.rank() == last) throw std::runtime_error("the loss is not finite");
        waiting(session);
      };
      if (tells)
        session.guard(work);
      else
        work();
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Failure& failure) {
      caught = failure.error().what;
      kind = failure.error().kind;
    } catch (const std::runtime_error& error) {
      caught = error.what();
    }
  });
  EXPECT_LT(seconds, 30) << "half of the timeout";
  if (rank_in(MPI_COMM_WORLD) == last) {
    EXPECT_EQ(caught, "the loss is not finite");
  } else {
    EXPECT_EQ(kind, ErrorKind::peer_lost);
    EXPECT_EQ(caught.find("rank " + std::to_string(last) + " on "), 0) << caught;
    EXPECT_NE(caught.find(tells ? "has failed: the loss is not finite" : "has failed: an exception ended its training"),
              std::string::npos)
        << caught;
  }
  // The program goes on: its communicators work, and the next session does.
  MPI_Barrier(MPI_COMM_WORLD);
  Session next(MPI_COMM_WORLD, options(1, backend));
  const Trained trained = train(next, 3, 40);
  EXPECT_LT(trained.last_loss, trained.first_loss / 10);
}

class OneRankThrows : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (size_of(MPI_COMM_WORLD) == 1) GTEST_SKIP() << "nobody waits";
  }
};

TEST_P(OneRankThrows, WhileTheOthersTrain) {
  for (const bool tells : {true, false})
    one_rank_throws(GetParam(), tells, [](Session& session) { train(session, 3, 1'000'000); });
}

TEST_P(OneRankThrows, WhileTheOthersAgree) {
  for (const bool tells : {true, false})
    one_rank_throws(GetParam(), tells, [](Session& session) { session.agree([] {}); });
}

TEST_P(OneRankThrows, WhileTheOthersAreBusyElsewhere) {
  one_rank_throws(GetParam(), true, [](Session& session) {
    const auto begin = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - begin < std::chrono::seconds(60)) session.check_peers();
  });
}

TEST_P(OneRankThrows, WhileTheOthersAreDone) {
  one_rank_throws(GetParam(), true, [](Session& session) { session.close(); });
}

TEST_P(OneRankThrows, AndTheOthersEndWithoutWaitingForIt) {
  const double seconds = seconds_of([&] {
    try {
      Session session(MPI_COMM_WORLD, options(1, GetParam()));
      train(session, 3, 5);
      if (session.rank() == 0) throw std::runtime_error("rank 0 gives up");
    } catch (const std::runtime_error&) {
    }
  });
  EXPECT_LT(seconds, 30) << "half of the timeout";
  MPI_Barrier(MPI_COMM_WORLD);
}

INSTANTIATE_TEST_SUITE_P(Backends, OneRankThrows, ::testing::Values("shm", "mpi"),
                         [](const auto& backend) { return std::string(backend.param); });

TEST(Embedding, ASilentRankIsLostAfterTheTimeout) {
  if (size_of(MPI_COMM_WORLD) == 1) GTEST_SKIP() << "nobody waits";
  SessionOptions chosen = options();
  chosen.communicator.timeout_seconds = 0.5;
  const bool silent = rank_in(MPI_COMM_WORLD) == 0;
  {
    Session session(MPI_COMM_WORLD, chosen);
    if (!silent) {
      EXPECT_THROW(session.agree([] {}), Failure);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    EXPECT_THROW(session.close(), Failure);
  }
}

}  // namespace
}  // namespace lockstep
