// A training step as one unit for a GPU: its kernels and collectives are recorded once and started again and again.
#pragma once

#include <functional>
#include <memory>

namespace lockstep {

// No CUDA in this header; the implementation is part of liblockstep_cuda.so (cuda_step_graph.cpp).
class StepGraph {
 public:
  virtual ~StepGraph() = default;

  // Records what `work` gives to the current stream, which is not the default one, and executes none of it. Every rank
  // records the same collectives. `work` must have run at least once in this stream (libraries set themselves up), must
  // not wait for the device, and gives it the same work each time: replays use the tensors at the places where they lie
  // now, and host numbers with their values of now. Memory for tensors that it makes belongs to the graph. Random
  // numbers of the default generator go on from replay to replay as they would without a graph.
  // Throws what `work` throws, or Failure(environment) with CUDA's words; stream, allocator and random numbers are then
  // as before, and the object is of no more use.
  virtual void capture(const std::function<void()>& work) = 0;

  // Gives the recorded work to the current stream; the host does not wait. Throws Failure(peer_lost) when a
  // communicator of a recorded collective has failed.
  virtual void replay() = 0;
};

// For the current CUDA device. companion: a graph whose memory is used by this one too; the two never run at the same
// time, and nothing that one has made is read after a replay of the other. It must outlive this one. Communicators
// outlive both. Throws Failure(environment) where there is no CUDA library.
std::unique_ptr<StepGraph> make_step_graph(const StepGraph* companion = nullptr);

// What liblockstep_cuda.so exports for it. The caller owns the result.
using MakeStepGraph = StepGraph*(const StepGraph* companion);
inline constexpr const char* make_step_graph_symbol = "lockstep_make_step_graph";

}  // namespace lockstep
