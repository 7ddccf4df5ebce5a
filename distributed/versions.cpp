#include "lockstep/distributed/versions.h"

#include <torch/version.h>

#include "lockstep/distributed/session.h"

namespace lockstep {

std::map<std::string, std::string> versions(const Session& session) {
  return {{"lockstep", LOCKSTEP_VERSION}, {"torch", TORCH_VERSION}, {"mpi", session.mpi_version()}};
}

}  // namespace lockstep
