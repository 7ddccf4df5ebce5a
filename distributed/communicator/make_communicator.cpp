#include "lockstep/distributed/communicator/make_communicator.h"

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/mpi_communicator.h"
#include "lockstep/distributed/communicator/placement.h"
#include "lockstep/distributed/communicator/self_communicator.h"

namespace lockstep {
namespace {

std::unique_ptr<Communicator> make_mpi(const Placement& placement, const CommunicatorOptions& options) {
  return std::make_unique<MpiCommunicator>(
      MpiComm::duplicate(placement.world.get()),
      MpiCommunicatorOptions{.progress = progress_options(placement, options, true), .verify = options.verify});
}

}  // namespace

std::unique_ptr<Communicator> make_communicator(MPI_Comm comm, const CommunicatorOptions& options) {
  const Placement placement = find_placement(comm, options.ranks_per_node);
  const bool alone = placement.world.size() == 1;
  if (options.backend == "mpi" || (options.backend == "auto" && !alone)) return make_mpi(placement, options);
  if (options.backend == "auto" || (options.backend == "self" && alone)) return std::make_unique<SelfCommunicator>();
  fail(ErrorKind::usage, "backend \"" + options.backend + "\" cannot be used for " +
                             std::to_string(placement.world.size()) + " ranks", "auto chooses one that can");
}

}  // namespace lockstep
