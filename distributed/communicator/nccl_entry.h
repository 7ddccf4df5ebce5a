// What liblockstep_cuda.so exports to nccl_module.cpp.
#pragma once

#include "lockstep/distributed/communicator/make_communicator.h"

namespace lockstep {

// The caller owns the result. Throws Failure.
using MakeNcclCommunicator = Communicator*(MPI_Comm comm, const CommunicatorOptions& options);
inline constexpr const char* make_nccl_communicator_symbol = "lockstep_make_nccl_communicator";

}  // namespace lockstep
