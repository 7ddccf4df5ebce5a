// StepGraph by CUDA graphs. Part of liblockstep_cuda.so.
#include <ATen/cuda/CUDAGeneratorImpl.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include <mutex>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/nccl_capture.h"
#include "lockstep/distributed/communicator/nccl_communicator.h"
#include "lockstep/distributed/training/step_graph.h"

namespace lockstep {
namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

// f(), whose exceptions mean nothing here.
template <typename Function>
void try_to(const Function& f) noexcept {
  try {
    f();
  } catch (...) {
  }
}

// What a capture that fails half-way leaves behind, and how it was before. LibTorch undoes nothing of it: its allocator
// would go on serving the stream from the graph's memory by a function of the dead graph, and its generator would
// refuse to draw outside of a capture.
class BeforeCapture {
 public:
  explicit BeforeCapture(c10::MempoolId_t pool)
      : device_(c10::cuda::current_device()),
        stream_(c10::cuda::getCurrentCUDAStream(device_)),
        generator_(at::cuda::detail::getDefaultCUDAGenerator(device_)),
        pool_(pool),
        users_(users_of_pool()) {
    const std::scoped_lock lock(generator_.mutex());
    random_ = generator_.get_state();
  }

  // Destroys `graph`.
  void restore(std::unique_ptr<at::cuda::CUDAGraph>& graph) noexcept {
    if (is_capturing()) try_to([&] { graph->capture_end(); });
    if (is_capturing()) end_capture();
    (void)cudaGetLastError();  // the capture's
    try_to([&] { allocator::endAllocateToPool(device_, pool_); });
    graph.reset();
    if (users_of_pool() > users_) try_to([&] { allocator::releasePool(device_, pool_); });
    try_to([&] {
      auto fresh = at::cuda::detail::createCUDAGenerator(device_);
      fresh.set_state(random_);
      const std::scoped_lock lock(generator_.mutex());
      generator_.graphsafe_set_state(fresh);
    });
    try_to([] { allocator::emptyCache(); });
  }

 private:
  bool is_capturing() const {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    return cudaStreamIsCapturing(stream_, &status) != cudaSuccess || status != cudaStreamCaptureStatusNone;
  }

  void end_capture() const {
    cudaGraph_t graph = nullptr;
    if (cudaStreamEndCapture(stream_, &graph) == cudaSuccess && graph != nullptr) cudaGraphDestroy(graph);
  }

  int users_of_pool() const noexcept {
    int users = 0;
    try_to([&] { users = allocator::getPoolUseCount(device_, pool_); });
    return users;
  }

  const c10::DeviceIndex device_;
  const c10::cuda::CUDAStream stream_;
  at::Generator generator_;
  const c10::MempoolId_t pool_;
  const int users_;
  at::Tensor random_;
};

class CudaStepGraph final : public StepGraph {
 public:
  explicit CudaStepGraph(const CudaStepGraph* companion)
      : pool_(companion ? companion->pool_ : at::cuda::graph_pool_handle()) {}

  void capture(const std::function<void()>& work) override {
    // Nothing that is under way may use memory that the capture would take for free, and what eager steps keep for
    // later must not be missing for the graph's own memory.
    check_cuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    allocator::emptyCache();
    BeforeCapture before(pool_);
    const NcclCapture collectives;
    graph_ = std::make_unique<at::cuda::CUDAGraph>();
    try {
      // Thread-local: other threads (the watchdog, backward's, a loader's) may ask for events and allocate meanwhile.
      graph_->capture_begin(pool_, cudaStreamCaptureModeThreadLocal);
      work();
      graph_->capture_end();
    } catch (const c10::Error& e) {
      before.restore(graph_);
      fail(ErrorKind::environment, std::string("the step cannot be captured: ") + e.what_without_backtrace());
    } catch (...) {
      before.restore(graph_);
      throw;
    }
    calls_ = collectives.calls();
  }

  void replay() override {
    for (const auto& calls : calls_) calls.communicator->before_replay();
    graph_->replay();
    for (const auto& calls : calls_) calls.communicator->replayed(calls);
  }

 private:
  const c10::MempoolId_t pool_;
  std::unique_ptr<at::cuda::CUDAGraph> graph_;
  std::vector<CapturedCalls> calls_;
};

}  // namespace
}  // namespace lockstep

extern "C" lockstep::StepGraph* lockstep_make_step_graph(const lockstep::StepGraph* companion) {
  return new lockstep::CudaStepGraph(static_cast<const lockstep::CudaStepGraph*>(companion));
}
