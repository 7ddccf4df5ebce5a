// What lockstep_cuda exports to nccl_module.cpp.
#pragma once

#include <memory>

#include "lockstep/distributed/communicator/make_communicator.h"

namespace lockstep {

using MakeNcclCommunicator = std::unique_ptr<Communicator>(MPI_Comm comm, const CommunicatorOptions& options);
inline constexpr const char* make_nccl_communicator_symbol = "lockstep_make_nccl_communicator";

}  // namespace lockstep
