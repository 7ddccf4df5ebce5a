#include "lockstep/distributed/communicator/make_communicator.h"

#include <algorithm>
#include <utility>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/hierarchical_communicator.h"
#include "lockstep/distributed/communicator/mpi_communicator.h"
#include "lockstep/distributed/communicator/mpi_node_memory.h"
#include "lockstep/distributed/communicator/nccl_module.h"
#include "lockstep/distributed/communicator/placement.h"
#include "lockstep/distributed/communicator/self_communicator.h"
#include "lockstep/distributed/communicator/shared_memory_communicator.h"

namespace lockstep {
namespace {

[[noreturn]] void fail_unusable(const std::string& backend, const std::string& why) {
  fail(ErrorKind::usage, "communicator backend \"" + backend + "\" cannot be used here: " + why,
       "auto chooses one that can");
}

std::string choose(const Placement& placement, const CommunicatorOptions& options) {
  if (options.cuda) return "nccl";
  if (placement.world.size() == 1) return "self";
  if (placement.one_node()) return "shm";
  return placement.layout.largest() > 1 ? "hierarchical" : "mpi";  // with one rank per node there is nothing to share
}

void check_usable(const std::string& backend, const Placement& placement, const CommunicatorOptions& options) {
  const int size = placement.world.size();
  if (backend != "nccl" && options.cuda) {
    fail_unusable(backend, "the buffers are CUDA memory, which only nccl reaches");
  }
  if (backend == "nccl" && !options.cuda) fail_unusable(backend, "the buffers are not CUDA memory");
  if (backend == "self" && size > 1) fail_unusable(backend, "there are " + std::to_string(size) + " ranks");
  if (backend == "shm" && !placement.one_node()) {
    fail_unusable(backend, "the ranks are on several nodes: " + std::to_string(placement.node.size()) + " of " +
                               std::to_string(size) + " on this one");
  }
}

std::unique_ptr<SharedMemoryCommunicator> make_shared_memory(Placement& placement, const CommunicatorOptions& options,
                                                             std::shared_ptr<ProgressEngine> engine) {
  SharedMemoryOptions shared{.engine = std::move(engine), .verify = options.verify, .staging = {}};
  shared.layout = placement.layout;
  Patience patience = patience_of(placement.world.get(), options);
  patience.crowded = placement.crowded();
  if (!placement.one_node()) {
    const int local = placement.node.rank(), owners = placement.layout.smallest();
    shared.world = MpiComm::duplicate(placement.world.get());
    // Slices that are worth a journey between nodes; and a cache line of every rank's part.
    shared.staging.chunk_bytes =
        std::max<std::int64_t>(std::min(owners, 8) * (std::int64_t{256} << 10), placement.world.size() * 64);
    MpiComm column = MpiComm::split(placement.world.get(), std::min(local, owners), placement.layout.node);
    if (local < owners) shared.between = make_mpi_between_nodes(std::move(column));
  }
  return std::make_unique<SharedMemoryCommunicator>(
      make_mpi_node_memory(std::move(placement.node), std::move(patience)), std::move(shared));
}

std::unique_ptr<MpiCommunicator> make_mpi(Placement& placement, const CommunicatorOptions& options,
                                          std::shared_ptr<ProgressEngine> engine) {
  return std::make_unique<MpiCommunicator>(
      std::move(placement.world), MpiCommunicatorOptions{.engine = std::move(engine), .verify = options.verify});
}

}  // namespace

std::unique_ptr<Communicator> make_communicator(MPI_Comm comm, const CommunicatorOptions& options) {
  int initialized = 0;
  MPI_Initialized(&initialized);
  if (initialized == 0) fail(ErrorKind::usage, "MPI is not initialised", "call MPI_Init_thread first");
  check_progress_options(options);
  // From here on all ranks of `comm` are in this function, and none is waited for elsewhere before it leaves it.
  meet(comm, "make_communicator()", patience_of(comm, options));
  const auto lock = lock_mpi_while_blocking();
  Placement placement = find_placement(comm, options);
  const std::string backend = options.backend == "auto" ? choose(placement, options) : options.backend;
  const bool calls_mpi = backend == "mpi" || backend == "hierarchical";
  const ProgressOptions progress = progress_options(placement, options, calls_mpi);
  check_usable(backend, placement, options);
  if (backend == "self") return std::make_unique<SelfCommunicator>();
  if (backend == "nccl") return make_nccl_communicator(comm, options);
  auto engine = std::make_shared<ProgressEngine>(progress);
  if (backend == "mpi") return make_mpi(placement, options, std::move(engine));
  if (backend == "shm") return make_shared_memory(placement, options, std::move(engine));
  if (backend == "hierarchical") {
    auto node = make_shared_memory(placement, options, engine);
    auto world = make_mpi(placement, options, std::move(engine));
    const bool gathers_in_nodes = placement.layout.equal() && placement.layout.largest() > 1;
    return std::make_unique<HierarchicalCommunicator>(std::move(node), std::move(world), gathers_in_nodes);
  }
  fail(ErrorKind::usage, "there is no communicator backend \"" + backend + "\"",
       "expected auto, self, mpi, shm, hierarchical or nccl");
}

}  // namespace lockstep
