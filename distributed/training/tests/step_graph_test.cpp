// Captured training on a GPU against the same steps made operator by operator, bit for bit. Skipped where there is no
// GPU for each rank.
#include "lockstep/distributed/training/step_graph.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "lockstep/core/error.h"
#include "lockstep/distributed/session/device.h"
#include "lockstep/distributed/session/session.h"
#include "runner_training.h"

namespace lockstep {
namespace {

using testing::expect_equal;
using testing::RunnerCase;
using testing::RunnerTraining;

std::unique_ptr<Session> shared_session;
std::string why_not;

int ranks_of_launcher() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"})
    if (const char* value = std::getenv(name)) return std::atoi(value);
  return 1;
}

// Before any tensor is made: a GPU's libraries must be loaded by then.
struct GpuSession : ::testing::Environment {
  void SetUp() override {
    const GpuSupport gpu = find_gpu("auto");
    const int ranks = ranks_of_launcher();
    if (gpu.count == 0) why_not = gpu.why_none;
    if (gpu.count > 0 && gpu.count < ranks)
      why_not = std::to_string(ranks) + " ranks, and " + std::to_string(gpu.count) + " GPUs";
    const SessionOptions options{.device = why_not.empty() ? "cuda" : "cpu", .threads = 1, .communicator = {}};
    shared_session = std::make_unique<Session>(options);
  }
  void TearDown() override { shared_session.reset(); }
};
const ::testing::Environment* const registered = ::testing::AddGlobalTestEnvironment(new GpuSession);

struct Training : RunnerTraining {
  explicit Training(const RunnerCase& how) : RunnerTraining(*shared_session, how) { make_runner(how); }
};

class Captured : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!why_not.empty()) GTEST_SKIP() << why_not;
  }
};
INSTANTIATE_TEST_SUITE_P(Optimizers, Captured, ::testing::Values("sgd", "adam", "adamw", "lamb", "lars", "muon"),
                         [](const auto& name) { return name.param; });

TEST_P(Captured, StepsAreTheEagerOnesBitForBit) {
  Training eager(RunnerCase{.optimizer = GetParam(), .recorded = false});
  eager.train();
  for (const std::int64_t at_once : {1, 4}) {
    Training captured(RunnerCase{.optimizer = GetParam(), .steps_per_launch = at_once});
    captured.train();
    EXPECT_TRUE(captured.runner->report().captured) << captured.runner->report().reason;
    expect_equal(captured, eager);
  }
}

TEST_P(Captured, StepsWithAllThatComesInThem) {
  RunnerCase how{.optimizer = GetParam(),
                 .accumulate = 2,
                 .steps_per_launch = 3,
                 .sharded = true,
                 .averages = true,
                 .clips = true};
  Training captured(how);
  how.recorded = false;
  Training eager(how);
  for (auto* training : {&captured, &eager}) training->train(/*stop_every=*/5);
  EXPECT_TRUE(captured.runner->report().captured) << captured.runner->report().reason;
  expect_equal(captured, eager);
  const auto found = captured.average.state(), wanted = eager.average.state();
  for (std::size_t i = 0; i < found.size(); ++i)
    if (found[i].second.defined()) {
      EXPECT_TRUE(at::equal(found[i].second, wanted[i].second)) << found[i].first;
    }
}

class CaptureFailure : public Captured {};
INSTANTIATE_TEST_SUITE_P(Sgd, CaptureFailure, ::testing::Values("sgd"));

// The forward waits for the device, which a capture refuses half-way: allocator, random numbers and streams must be as
// before, and the training goes on by itself.
TEST_P(CaptureFailure, LosesNothing) {
  Training refused(RunnerCase{.averages = true}), eager(RunnerCase{.recorded = false, .averages = true});
  for (auto* training : {&refused, &eager}) {
    training->forward = [training](const at::Tensor& x) {
      const at::Tensor logits = training->net->forward(x);
      if (logits.numel() > 0) (void)logits.sum().item<float>();
      return logits;
    };
    training->train();
  }
  expect_equal(refused, eager);
  EXPECT_FALSE(refused.runner->report().captured);
  ASSERT_EQ(refused.said.size(), 1u);
  EXPECT_EQ(refused.said[0].rfind("steps are not captured: ", 0), 0u) << refused.said[0];
  Training after(RunnerCase{});  // and the next one can be captured
  after.train();
  EXPECT_TRUE(after.runner->report().captured) << after.runner->report().reason;
}

}  // namespace
}  // namespace lockstep
