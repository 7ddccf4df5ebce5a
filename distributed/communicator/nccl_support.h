// NCCL's and CUDA's errors as Failures, their names for types and operations, and a check of the process they run in.
#pragma once

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <string>
#include <string_view>
#include <vector>

#include "lockstep/distributed/communicator/communicator.h"
#include "lockstep/distributed/communicator/mpi_support.h"

namespace lockstep {

// Throws Failure(environment) with CUDA's own text.
void check_cuda(cudaError_t code, std::string_view call);
// Throws Failure(environment) with NCCL's own text. comm: null, or the communicator whose last error is added.
void check_nccl(ncclResult_t code, std::string_view call, ncclComm_t comm = nullptr);

ncclDataType_t nccl_type(DataType type);
ncclRedOp_t nccl_op(ReduceOp op);

// Paths of the NCCL libraries that are mapped in this process.
std::vector<std::string> mapped_nccl_libraries();
// Two of them have two sets of globals, and the one that was compiled against may not be the one that is called:
// corrupted communicators far from the cause. Throws Failure(environment) that names both paths.
void check_one_nccl_library();

// Collective. Throws Failure(environment) on all ranks when two ranks use one GPU (compared by host and PCI bus id),
// which NCCL reports late and vaguely.
void check_own_gpus(const MpiComm& comm, int device);

}  // namespace lockstep
