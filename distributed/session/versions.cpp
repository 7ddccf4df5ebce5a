#include "lockstep/distributed/session/versions.h"

#include <dlfcn.h>
#include <torch/version.h>

#include "lockstep/distributed/session/session.h"

namespace lockstep {
namespace {

// Whose malloc this process uses: the speed of small batches depends on it.
std::string allocator() {
  for (const auto& [symbol, name] :
       {std::pair{"tc_version", "tcmalloc"}, {"mallctl", "jemalloc"}, {"mi_version", "mimalloc"}})
    if (dlsym(RTLD_DEFAULT, symbol) != nullptr) return name;
  return "libc";
}

}  // namespace

std::map<std::string, std::string> versions(const Session& session) {
  return {{"lockstep", LOCKSTEP_VERSION},
          {"torch", TORCH_VERSION},
          {"mpi", session.mpi_version()},
          {"malloc", allocator()}};
}

}  // namespace lockstep
