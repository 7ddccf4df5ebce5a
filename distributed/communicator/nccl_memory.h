// GPU memory that NCCL knows.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>

#include "lockstep/distributed/communicator/nccl_comm.h"
#include "lockstep/distributed/communicator/plain_memory.h"

namespace lockstep {

// Collective over the ranks of `comm`; zeroed in the order of `stream`, for which the host waits. in_use: as in
// plain_memory.h. Throws Failure.
std::shared_ptr<DirectMemory> allocate_nccl_memory(std::shared_ptr<NcclComm> comm, std::int64_t bytes,
                                                   cudaStream_t stream, ByteCount in_use);

}  // namespace lockstep
