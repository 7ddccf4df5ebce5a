// The host's part of recorded steps: batches and numbers put in place for several steps, launches between stops, what
// is counted afterwards. The work itself is here run again for each replay, by the CPU's operators; a GPU's graph is
// held against the same in step_graph_test.
#include "lockstep/distributed/training/step_runner.h"

#include "lockstep/core/error.h"
#include "runner_training.h"
#include "shared_session.h"

namespace lockstep {
namespace {

using testing::expect_equal;
using testing::RunnerCase;
using testing::RunnerTraining;
using testing::session;

// Runs the work again.
struct RepeatedWork : StepGraph {
  explicit RepeatedWork(int& replays) : replays_(replays) {}
  void capture(const std::function<void()>& work) override { work_ = work; }
  void replay() override { ++replays_, work_(); }
  int& replays_;
  std::function<void()> work_;
};

// On the CPU.
struct Training : RunnerTraining {
  explicit Training(const RunnerCase& how) : RunnerTraining(testing::session(), how) {
    options.make_graph = [this](const StepGraph* companion) {
      EXPECT_EQ(companion != nullptr, graphs++ > 0);
      return std::make_unique<RepeatedWork>(replays);
    };
    make_runner(how);
  }
  int replays = 0, graphs = 0;
};

class RecordedSteps : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Optimizers, RecordedSteps, ::testing::Values("sgd", "adam", "adamw", "lamb", "lars", "muon"),
                         [](const auto& name) { return name.param; });

TEST_P(RecordedSteps, AreTheStepsBitForBit) {
  Training plain(RunnerCase{.optimizer = GetParam(), .recorded = false});
  plain.train();
  EXPECT_EQ(plain.replays, 0);
  for (const std::int64_t at_once : {1, 4}) {
    Training recorded(RunnerCase{.optimizer = GetParam(), .steps_per_launch = at_once});
    recorded.train();
    expect_equal(recorded, plain);
    // Three epochs of 13 full steps and an uneven one; three steps to warm up, step 21 alone.
    EXPECT_EQ(recorded.replays, at_once == 1 ? 39 - 4 : 4 + 6 + 4) << at_once;
    EXPECT_EQ(recorded.graphs, at_once == 1 ? 1 : 2);
    EXPECT_TRUE(recorded.runner->report().captured);
    EXPECT_EQ(recorded.runner->report().reason, "");
    EXPECT_EQ(recorded.said, std::vector<std::string>{"steps are captured: " + std::to_string(at_once) +
                                                      " per launch of a CUDA graph"});
  }
}

TEST(RecordedSteps, WithAllThatComesInAStep) {
  RunnerCase how{
      .optimizer = "adamw", .accumulate = 2, .steps_per_launch = 3, .sharded = true, .averages = true, .clips = true};
  Training recorded(how);
  how.recorded = false;
  Training plain(how);
  for (auto* training : {&recorded, &plain}) training->train(/*stop_every=*/5);
  expect_equal(recorded, plain);
  EXPECT_GT(recorded.replays, 0);
  const auto found = recorded.average.state(), wanted = plain.average.state();
  for (std::size_t i = 0; i < found.size(); ++i)
    if (found[i].second.defined()) {
      EXPECT_NEAR((found[i].second - wanted[i].second).abs().max().item<double>(), 0, 1e-6) << found[i].first;
    }
}

// Where one rank cannot record, none replays, and the training goes on as if nobody had tried.
TEST(RecordedSteps, AFailureToRecordLosesNothing) {
  struct Refusing : StepGraph {
    void capture(const std::function<void()>&) override {
      if (session().rank() == session().world_size() - 1)
        fail(ErrorKind::environment, "the step cannot be captured: no room");
    }
    void replay() override { ADD_FAILURE() << "nothing was recorded"; }
  };
  for (const bool required : {false, true}) {
    const RunnerCase how{.averages = true};
    RunnerTraining refused(session(), how);
    refused.options.make_graph = [](const StepGraph*) { return std::make_unique<Refusing>(); };
    refused.options.required = required;
    refused.make_runner(how);
    if (required) {
      try {
        refused.train();
        ADD_FAILURE() << "--capture on was given";
      } catch (const AgreedFailure& failure) {
        EXPECT_EQ(failure.error().kind, ErrorKind::usage);
        EXPECT_NE(failure.error().what.find("no room"), std::string::npos);
      }
      continue;
    }
    Training plain(RunnerCase{.recorded = false, .averages = true});
    refused.train();
    plain.train();
    expect_equal(refused, plain);
    const int last = session().world_size() - 1;
    const std::string who = last > 0 ? "rank " + std::to_string(last) + ": " : "";
    EXPECT_EQ(refused.said,
              std::vector<std::string>{"steps are not captured: " + who + "the step cannot be captured: no room"});
    EXPECT_FALSE(refused.runner->report().captured);
    EXPECT_FALSE(refused.runner->may_capture());
  }
}

TEST(RecordedSteps, AParameterWithoutGradientIsNamed) {
  const RunnerCase how;
  RunnerTraining training(session(), how);
  training.options.make_graph = [](const StepGraph*) -> std::unique_ptr<StepGraph> {
    ADD_FAILURE() << "there is no use in trying";
    return nullptr;
  };
  training.net->forward(at::randn({1, 5}));
  TrainStep partly({[&](const at::Tensor& x) { return training.net->a(x).narrow(1, 0, 3); }, training.model,
                    *training.optimizer, training.source, training.meter, at::kCPU});
  training.options.say = [&](const std::string& line) { training.said.push_back(line); };
  StepRunner runner(session(), partly, training.options);
  for (int i = 0; i < 5; ++i) runner({.step = i + 1, .until_stop = 100, .learning_rate = [](auto) { return 0.1; }});
  ASSERT_EQ(training.said.size(), 1u);
  EXPECT_NE(training.said[0].find("parameter 'b.weight' got no gradient"), std::string::npos) << training.said[0];
}

}  // namespace
}  // namespace lockstep
