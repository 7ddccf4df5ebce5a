#include "lockstep/distributed/communicator/nccl_communicator.h"

#include <c10/cuda/CUDAStream.h>

#include <utility>

#include "lockstep/distributed/communicator/backoff.h"
#include "lockstep/distributed/communicator/call_check.h"
#include "lockstep/distributed/communicator/nccl_entry.h"
#include "lockstep/distributed/communicator/nccl_memory.h"
#include "lockstep/distributed/communicator/plain_memory.h"

namespace lockstep {
namespace {

int current_device() {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code != cudaSuccess || count == 0) {
    fail(ErrorKind::environment,
         "no GPU can be used here: " + std::string(code == cudaSuccess ? "there is none" : cudaGetErrorString(code)),
         "look at nvidia-smi and CUDA_VISIBLE_DEVICES, or train on the CPU");
  }
  int device = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  return device;
}

// Whether the current stream's work is recorded instead of executed.
bool is_capturing(int device) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  const auto stream = c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device)).stream();
  check_cuda(cudaStreamIsCapturing(stream, &status), "cudaStreamIsCapturing");
  return status != cudaStreamCaptureStatusNone;
}

// Collective: a rank without a GPU must not leave the others waiting for it.
int usable_device(const MpiComm& comm) {
  std::optional<Error> error;
  int device = 0;
  try {
    check_one_nccl_library();
    device = current_device();
  } catch (const Failure& failure) {
    error = failure.error();
  }
  int lowest = error ? comm.rank() : comm.size();
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &lowest, 1, MPI_INT, MPI_MIN, comm.get()), "MPI_Allreduce");
  if (error) throw Failure(*error);
  if (lowest < comm.size()) {
    fail(ErrorKind::environment, "rank " + std::to_string(lowest) + " cannot use a GPU", "see the log of that rank");
  }
  check_own_gpus(comm, device);
  return device;
}

}  // namespace

NcclCommunicator::NcclCommunicator(MpiComm comm, const CommunicatorOptions& options)
    : mpi_(std::move(comm)),
      options_(options),
      device_(usable_device(mpi_)),
      where_("rank " + std::to_string(mpi_.rank()) + ", GPU " + std::to_string(device_)),
      comm_(std::make_shared<NcclComm>(mpi_, options.timeout_seconds, where_)),
      // High priority: a collective that waits behind a long kernel holds up every rank.
      stream_(c10::cuda::getStreamFromPool(true, static_cast<c10::DeviceIndex>(device_)).stream()),
      watchdog_(std::make_unique<NcclWatchdog>(comm_, device_, options.timeout_seconds, where_)) {
  token_ = allocate(sizeof(std::int64_t));
}

NcclCommunicator::~NcclCommunicator() {
  if (!comm_->aborted() && std::uncaught_exceptions() == 0) cudaStreamSynchronize(stream_);  // the watchdog bounds it
  if (comm_->aborted()) mpi_.abandon();
  watchdog_.reset();
}

Work NcclCommunicator::all_reduce(Buffer buffer, ReduceOp op) {
  return Work(start(all_reduce_call(buffer, op), "ncclAllReduce", [&](ncclComm_t comm) {
    return ncclAllReduce(buffer.data, buffer.data, static_cast<std::size_t>(buffer.count), nccl_type(buffer.type),
                         nccl_op(op), comm, stream_);
  }));
}

Work NcclCommunicator::reduce_scatter(Buffer input, Buffer output, ReduceOp op) {
  return Work(start(reduce_scatter_call(input, output, op, rank(), size()), "ncclReduceScatter", [&](ncclComm_t comm) {
    return ncclReduceScatter(input.data, output.data, static_cast<std::size_t>(output.count), nccl_type(input.type),
                             nccl_op(op), comm, stream_);
  }));
}

Work NcclCommunicator::all_gather(Buffer input, Buffer output) {
  return Work(start(all_gather_call(input, output, rank(), size()), "ncclAllGather", [&](ncclComm_t comm) {
    return ncclAllGather(input.data, output.data, static_cast<std::size_t>(input.count), nccl_type(input.type), comm,
                         stream_);
  }));
}

Work NcclCommunicator::broadcast(Buffer buffer, int root) {
  return Work(start(broadcast_call(buffer, root, size()), "ncclBroadcast", [&](ncclComm_t comm) {
    return ncclBroadcast(buffer.data, buffer.data, static_cast<std::size_t>(buffer.count), nccl_type(buffer.type), root,
                         comm, stream_);
  }));
}

void NcclCommunicator::barrier() {
  const auto operation = start(Call{}, "ncclAllReduce", [&](ncclComm_t comm) {
    return ncclAllReduce(token_->data(), token_->data(), 1, ncclInt64, ncclSum, comm, stream_);
  });
  Backoff backoff(/*crowded=*/false);
  while (!operation->done()) backoff.pause();  // the watchdog bounds it
}

std::shared_ptr<DirectMemory> NcclCommunicator::allocate(std::int64_t bytes) {
  check_allocation(bytes);
  comm_->throw_if_aborted();
  return allocate_nccl_memory(comm_, bytes, stream_, allocated_);
}

std::shared_ptr<NcclOperation> NcclCommunicator::start(const Call& call, std::string_view name, const Launch& launch) {
  comm_->throw_if_aborted();
  auto operation = free_operation();
  const auto bytes = static_cast<std::uint64_t>(bytes_of(call, size()));
  const bool captured = is_capturing(device_);
  if (captured) {
    NcclCapture::note(*this, bytes);
  } else {
    ++sequence_;
    count(1, bytes);
    if (options_.verify && CallCheck::is_due(sequence_)) compare_calls(call);
  }
  operation->begin(call, sequence_, stream_);
  comm_->call(name, launch);
  operation->launched(stream_);
  // An event of a graph says nothing about a replay, and to ask for it would spoil the capture.
  if (!captured) watchdog_->watch(operation);
  return operation;
}

void NcclCommunicator::count(std::uint64_t calls, std::uint64_t bytes) {
  statistics_.calls += calls;
  statistics_.bytes += bytes;
}

void NcclCommunicator::replayed(const CapturedCalls& calls) {
  count(calls.calls, calls.bytes);
  auto operation = free_operation();
  operation->follow("a captured step with " + std::to_string(calls.calls) + " collectives");
  watchdog_->watch(std::move(operation));
}

// On the host, before the GPU gets a kernel that would wait for ever for one that never comes.
void NcclCommunicator::compare_calls(const Call& call) {
  CallCheck check;
  check.start(mpi_, call, sequence_);
  Backoff backoff(/*crowded=*/false);
  while (!check.passed()) {
    backoff.pause();
    const double waited = std::chrono::duration<double>(backoff.waited()).count();
    if (waited < options_.timeout_seconds) continue;
    Error error{ErrorKind::peer_lost,
                "a rank has not called " + describe(call, sequence_) + " after " + std::to_string(waited) + " s",
                where_, "a rank died, hangs or took another path; its log says more"};
    comm_->abort(error);
    throw Failure(std::move(error));
  }
}

std::shared_ptr<NcclOperation> NcclCommunicator::free_operation() {
  for (auto& operation : pool_) {
    if (operation.use_count() == 1) return operation;  // neither the watchdog nor a Work holds it
  }
  return pool_.emplace_back(std::make_shared<NcclOperation>(comm_, device_));
}

}  // namespace lockstep

extern "C" lockstep::Communicator* lockstep_make_nccl_communicator(MPI_Comm comm,
                                                                   const lockstep::CommunicatorOptions& options) {
  return new lockstep::NcclCommunicator(lockstep::MpiComm::duplicate(comm), options);
}
