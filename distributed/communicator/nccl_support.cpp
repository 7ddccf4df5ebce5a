#include "lockstep/distributed/communicator/nccl_support.h"

#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "lockstep/core/error.h"

namespace lockstep {

void check_cuda(cudaError_t code, std::string_view call) {
  if (code == cudaSuccess) return;
  fail(ErrorKind::environment, std::string(call) + " failed: " + cudaGetErrorString(code),
       "see nvidia-smi: the driver must be as new as this build's CUDA " + std::to_string(CUDART_VERSION / 1000) + "." +
           std::to_string(CUDART_VERSION % 1000 / 10));
}

void check_nccl(ncclResult_t code, std::string_view call, ncclComm_t comm) {
  if (code == ncclSuccess || code == ncclInProgress) return;
  std::string text = ncclGetErrorString(code);
  if (const char* last = ncclGetLastError(comm); last != nullptr && *last != '\0')
    text += std::string(" (") + last + ")";
  const bool peer = code == ncclRemoteError;
  fail(peer ? ErrorKind::peer_lost : ErrorKind::environment, std::string(call) + " failed: " + text,
       "NCCL_DEBUG=INFO shows more");
}

ncclDataType_t nccl_type(DataType type) {
  switch (type) {
    case DataType::float32:
      return ncclFloat32;
    case DataType::bfloat16:
      return ncclBfloat16;
    case DataType::float16:
      return ncclFloat16;
    case DataType::float64:
      return ncclFloat64;
    case DataType::int64:
      return ncclInt64;
  }
  return ncclFloat32;
}

ncclRedOp_t nccl_op(ReduceOp op) {
  switch (op) {
    case ReduceOp::sum:
      return ncclSum;
    case ReduceOp::average:
      return ncclAvg;
    case ReduceOp::min:
      return ncclMin;
    case ReduceOp::max:
      return ncclMax;
  }
  return ncclSum;
}

std::vector<std::string> mapped_nccl_libraries() {
  std::vector<std::string> found;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* paths) {
        const std::string path = info->dlpi_name;
        const std::string file = path.substr(path.rfind('/') + 1);
        if (file.rfind("libnccl.so", 0) == 0) static_cast<std::vector<std::string>*>(paths)->push_back(path);
        return 0;
      },
      &found);
  return found;
}

void check_one_nccl_library() {
  const auto found = mapped_nccl_libraries();
  if (found.size() < 2) return;
  fail(ErrorKind::environment, "two NCCL libraries are in this process: " + found[0] + " and " + found[1],
       "keep one: remove the other's folder from LD_LIBRARY_PATH, or link against the one that LibTorch uses");
}

void check_own_gpus(const MpiComm& comm, int device) {
  struct Place {
    std::array<char, 64> host;
    std::array<char, 32> bus;
    bool operator==(const Place&) const = default;
  };
  Place own{};
  gethostname(own.host.data(), own.host.size() - 1);
  check_cuda(cudaDeviceGetPCIBusId(own.bus.data(), static_cast<int>(own.bus.size()), device), "cudaDeviceGetPCIBusId");
  std::vector<Place> places(static_cast<std::size_t>(comm.size()));
  check_mpi(MPI_Allgather(&own, sizeof own, MPI_BYTE, places.data(), sizeof own, MPI_BYTE, comm.get()),
            "MPI_Allgather");
  for (auto second = places.begin(); second != places.end(); ++second) {
    const auto first = std::find(places.begin(), second, *second);
    if (first == second) continue;
    fail(ErrorKind::environment,
         "ranks " + std::to_string(first - places.begin()) + " and " + std::to_string(second - places.begin()) +
             " use one GPU: " + first->bus.data() + " on " + first->host.data(),
         "start no more ranks per node than it has GPUs, and let each use the GPU of its local rank");
  }
}

}  // namespace lockstep
