#include "lockstep/distributed/communicator/backend_choice.h"

#include <cstdlib>
#include <string>

#include "lockstep/distributed/communicator/link_cache.h"

namespace lockstep {
namespace {

// Rank 0's text, on all ranks.
std::string shared_text(std::string text, const MpiComm& comm) {
  auto bytes = static_cast<std::int64_t>(text.size());
  check_mpi(MPI_Bcast(&bytes, 1, MPI_INT64_T, 0, comm.get()), "MPI_Bcast");
  text.resize(static_cast<std::size_t>(bytes));
  check_mpi(MPI_Bcast(text.data(), static_cast<int>(bytes), MPI_CHAR, 0, comm.get()), "MPI_Bcast");
  return text;
}

std::string mpi_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(text, &length);
  return {text, static_cast<std::size_t>(length)};
}

CommunicatorChoice choose_between_nodes(const Placement& placement, const std::string& key,
                                        const std::function<LinkTable()>& measure) {
  const bool reads = placement.world.rank() == 0;
  const auto file = reads ? link_file(key) : std::filesystem::path{};
  const LinkTable known = parse_links(shared_text(reads ? read_links(file) : "", placement.world));
  if (can_choose(known)) return choose_by_links(known, "cached");
  const LinkTable measured = measure();
  if (reads && can_choose(measured)) write_links(file, measured);
  return choose_by_links(measured, "measured");
}

CommunicatorChoice choose(const Placement& placement, const CommunicatorOptions& options, const std::string& key,
                          const std::function<LinkTable()>& measure) {
  if (options.backend != "auto") return {options.backend, "asked for"};
  const char* const variable = std::getenv("LOCKSTEP_COMMUNICATOR");
  const std::string wanted = shared_text(variable == nullptr ? "" : variable, placement.world);
  if (!wanted.empty() && wanted != "auto") return {wanted, "LOCKSTEP_COMMUNICATOR asks for it"};
  if (options.cuda) return {"nccl", "the buffers are on GPUs"};
  if (placement.world.size() == 1) return {"self", "there is one rank"};
  if (placement.one_node()) return {"shm", "all ranks are on one node"};
  return choose_between_nodes(placement, key, measure);
}

}  // namespace

CommunicatorChoice choose_backend(const Placement& placement, const CommunicatorOptions& options,
                                  const std::function<LinkTable()>& measure) {
  const std::string key =
      link_key(placement.layout, mpi_version() + (options.ranks_per_node > 0 ? "; pretended nodes" : ""));
  CommunicatorChoice choice = choose(placement, options, key, measure);
  choice.key = key;
  return choice;
}

}  // namespace lockstep
