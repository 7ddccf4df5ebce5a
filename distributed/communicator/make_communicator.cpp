#include "lockstep/distributed/communicator/make_communicator.h"

#include <algorithm>
#include <utility>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/backend_choice.h"
#include "lockstep/distributed/communicator/hierarchical_communicator.h"
#include "lockstep/distributed/communicator/measure_link.h"
#include "lockstep/distributed/communicator/mpi_communicator.h"
#include "lockstep/distributed/communicator/mpi_node_memory.h"
#include "lockstep/distributed/communicator/nccl_module.h"
#include "lockstep/distributed/communicator/placement.h"
#include "lockstep/distributed/communicator/roll_call.h"
#include "lockstep/distributed/communicator/self_communicator.h"
#include "lockstep/distributed/communicator/shared_memory_communicator.h"

namespace lockstep {
namespace {

[[noreturn]] void fail_unusable(const std::string& backend, const std::string& why) {
  fail(ErrorKind::usage, "communicator backend \"" + backend + "\" cannot be used here: " + why,
       "auto chooses one that can");
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
    // Slices that are worth a journey between nodes, also for a rank that is alone on its node; and a cache line of
    // every rank's part.
    shared.staging.chunk_bytes = std::max<std::int64_t>(std::int64_t{4} << 20, placement.world.size() * 64);
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

std::unique_ptr<HierarchicalCommunicator> make_hierarchical(Placement& placement, const CommunicatorOptions& options,
                                                            std::shared_ptr<ProgressEngine> engine) {
  const bool gathers_in_nodes = placement.layout.equal() && placement.layout.largest() > 1;
  auto node = make_shared_memory(placement, options, engine);
  auto world = make_mpi(placement, options, std::move(engine));
  return std::make_unique<HierarchicalCommunicator>(std::move(node), std::move(world), gathers_in_nodes);
}

std::shared_ptr<ProgressEngine> make_engine(const Placement& placement, const CommunicatorOptions& options,
                                            const std::string& backend) {
  const bool calls_mpi = backend == "mpi" || backend == "hierarchical";
  ProgressOptions progress = progress_options(placement, options, calls_mpi);
  if (calls_mpi) progress.roll_call = std::make_shared<RollCall>(MpiComm::duplicate(placement.world.get()));
  return std::make_shared<ProgressEngine>(std::move(progress));
}

std::unique_ptr<Communicator> make(const std::string& backend, MPI_Comm comm, Placement& placement,
                                   const CommunicatorOptions& options) {
  if (backend == "self") return std::make_unique<SelfCommunicator>();
  if (backend == "nccl") return make_nccl_communicator(comm, options);
  if (backend == "mpi") return make_mpi(placement, options, make_engine(placement, options, backend));
  if (backend == "shm") return make_shared_memory(placement, options, make_engine(placement, options, backend));
  if (backend == "hierarchical") {
    return make_hierarchical(placement, options, make_engine(placement, options, backend));
  }
  fail(ErrorKind::usage, "there is no communicator backend \"" + backend + "\"",
       "expected auto, self, mpi, shm, hierarchical or nccl");
}

// With a communicator of its own, which is gone afterwards: what it counts and compares is not the caller's.
LinkTable measure_between_nodes(MPI_Comm comm, CommunicatorOptions options) {
  constexpr std::int64_t sizes[] = {std::int64_t{4} << 10, std::int64_t{64} << 10, std::int64_t{1} << 20};
  if (!(options.measure_seconds > 0)) return {};
  const double budget_seconds = options.measure_seconds / 2;  // for each of two
  options.verify = false;
  options.progress_thread = "off";
  Placement placement = find_placement(comm, options);
  const auto communicator = make_hierarchical(placement, options, make_engine(placement, options, "hierarchical"));
  return {{measure_link(*communicator, "hierarchical", sizes, budget_seconds),
           measure_link(communicator->mpi(), "mpi", sizes, budget_seconds)}};
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
  CommunicatorChoice choice = choose_backend(placement, options, [&] { return measure_between_nodes(comm, options); });
  check_usable(choice.backend, placement, options);
  auto communicator = make(choice.backend, comm, placement, options);
  communicator->explain(std::move(choice));
  return communicator;
}

}  // namespace lockstep
