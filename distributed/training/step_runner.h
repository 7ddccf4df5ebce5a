// Steps as the training loop asks for them: started operator by operator, or as recorded graphs, one or several steps
// at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lockstep/distributed/session/session.h"
#include "lockstep/distributed/training/capture_problem.h"
#include "lockstep/distributed/training/step_graph.h"
#include "lockstep/distributed/training/step_inputs.h"
#include "lockstep/distributed/training/step_launch.h"
#include "lockstep/distributed/training/stream_scope.h"
#include "lockstep/distributed/training/train_step.h"

namespace lockstep {

struct StepRunnerOptions {
  std::string problem;                // capture_problem(): not empty, all steps are started one by one
  bool required = false;              // then, and when recording fails, the training ends: --capture on
  std::int64_t steps_per_launch = 1;  // --capture-steps
  std::function<std::unique_ptr<StepGraph>(const StepGraph* companion)> make_graph = make_step_graph;
  std::function<void(const std::string&)> say = {};  // a line for the user
};

// The first full steps are made as ever, which is also what the device's libraries need before their work can be
// recorded. Then a step is recorded (which executes nothing) and from there on replayed: with the numbers and batches
// that the host has put in place, bit for bit what the operators one by one would do. Uneven last batches, and steps to
// which something happens on the host, are made as ever in between.
class StepRunner {
 public:
  // Collective. The step outlives it. Throws AgreedFailure(usage) where capture is required and there is a problem.
  StepRunner(Session& session, TrainStep& step, StepRunnerOptions options);

  // For the time of the training: graphs need the stream in which they will be recorded from the first step on. Null
  // where nothing will be recorded.
  std::unique_ptr<StreamScope> enter_stream() const;

  // What the loop knows beforehand.
  struct Ahead {
    std::int64_t step = 1;                                         // number of the next step
    std::int64_t until_stop = 1;                                   // steps_to_stop()
    bool alone = false;                                            // something happens to the next step on the host
    bool spoil = false;                                            // … and its loss becomes NaN
    std::function<double(std::int64_t ahead)> learning_rate = {};  // of the step that comes after `ahead` others
  };
  // Collective. One step or more (StepResult::steps). The optimizer's learning rate is afterwards that of the last.
  // Throws as TrainStep; AgreedFailure(usage) where capture is required and fails.
  StepResult operator()(const Ahead& ahead);

  // Whether steps are recorded, now or later.
  bool may_capture() const { return problem_.empty(); }
  CaptureReport report() const;

 private:
  std::int64_t full_steps() const;
  void record();
  void record(StepGraph& graph, std::int64_t steps);
  std::string first_of_ranks(const std::string& said) const;
  void give_up(const std::string& why);
  Error refusal() const;
  StepResult replay(std::int64_t steps, const Ahead& ahead);

  Session& session_;
  TrainStep& step_;
  const StepRunnerOptions options_;
  std::string problem_;
  std::int64_t warm_steps_ = 0;  // full steps made one by one
  Batch example_;                // of a full step
  std::optional<StepInputs> inputs_;
  std::unique_ptr<StepGraph> one_, many_;  // many_ is gone first: it shares the memory of one_
  bool replayed_ = false;
};

}  // namespace lockstep
