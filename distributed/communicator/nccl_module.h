// The CUDA library, liblockstep_cuda.so: loaded only where a GPU is used, so that CPU programs start without CUDA.
#pragma once

#include <memory>
#include <string>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/make_communicator.h"

namespace lockstep {

// Loads the library once; later calls return the first answer. To be called before the first tensor is made: LibTorch
// remembers for good whether CUDA was there when it was first asked. Returns the path of the library, or an
// Error(environment) that says in one sentence what is missing: this build has no CUDA, the file, or a library that the
// file needs.
Result<std::string> load_cuda_module();

// The address of what the library exports by that name. Throws Failure(environment) without library, or when it is of
// another version and lacks it.
void* cuda_module_symbol(const char* name);

// The NCCL backend from that library, for the current CUDA device. Collective over `comm`, which is duplicated. Throws
// Failure(environment) without library or GPU, with two ranks on one GPU, or with two NCCL libraries in the process.
std::unique_ptr<Communicator> make_nccl_communicator(MPI_Comm comm, const CommunicatorOptions& options);

}  // namespace lockstep
