#include "lockstep/distributed/session/session.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <exception>

#include "lockstep/core/machine.h"
#include "lockstep/distributed/session/device.h"
#include "lockstep/distributed/session/expected_world.h"
#include "lockstep/distributed/session/rank_seed.h"

namespace lockstep {

Session::Session(const SessionOptions& options) : host_(host_name()) { start(MPI_COMM_NULL, options); }

Session::Session(MPI_Comm comm, const SessionOptions& options) : embedded_(true), host_(host_name()) {
  start(comm, options);
}

void Session::start(MPI_Comm comm, const SessionOptions& options) {
  exceptions_at_start_ = std::uncaught_exceptions();
  (void)launched_as();                              // before MPI sets variables of its own
  const GpuSupport gpu = find_gpu(options.device);  // before MPI: the GPU's libraries must be the first tensor code
  if (!embedded_) start_mpi();
  const double timeout = options.communicator.timeout_seconds;  // make_communicator refuses those of no sense
  group_ = std::make_shared<RankGroup>(embedded_ ? comm : MPI_COMM_WORLD, timeout > 0 ? timeout : 600, host_);
  MPI_Query_thread(&thread_level_);
  find_node();
  const bool of_the_job = options.run == RunContext::environment ||
                          (options.run == RunContext::automatic && (!embedded_ || has_all_ranks()));
  const int number = device_rank(gpu.count);
  start_up_.mark("mpi");
  try {
    agree_on([&] {
      run_ = of_the_job ? Run::get_context() : Run::none();
      if (!embedded_) check_world_size();
      device_ = choose_device(gpu, number);
      use_device(device_);
    });
    make_communicator(options.communicator);
  } catch (const AgreedFailure&) {
    end_mpi();  // in order: every rank is here
    throw;
  }
  start_up_.mark("communicator");
  if (const int threads = options.threads.value_or(embedded_ ? 0 : 1); threads > 0) at::set_num_threads(threads);
  seed_ = options.seed.value_or(0);
  if (options.seed) at::manual_seed(seed_);
}

// A wrong option is found by all ranks alike, so they can leave in order; what only one rank meets is thrown.
void Session::make_communicator(CommunicatorOptions options) {
  options.cuda = device_.is_cuda();
  options.interrupted = [group = group_] { return group->failure(); };
  if (!threads_may_communicate() && options.progress_thread == "auto") options.progress_thread = "off";
  communicator_options_ = options;
  std::optional<Error> wrong;
  try {
    communicator_ = lockstep::make_communicator(comm(), options);
  } catch (const Failure& failure) {
    if (failure.error().kind != ErrorKind::usage) throw;
    wrong = failure.error();
  }
  agree_on([&] {
    if (wrong) throw Failure(*wrong);
  });
}

std::unique_ptr<Communicator> Session::another_communicator() const {
  return lockstep::make_communicator(comm(), communicator_options_);
}

Session::~Session() {
  if (std::uncaught_exceptions() > exceptions_at_start_) {
    abort({ErrorKind::internal, "an exception ended its training", {}, {}});
    // MPI_Finalize waits for all ranks: the others are elsewhere and this process is about to end.
    owns_mpi_ = false;
  }
  try {
    close();
  } catch (const Failure&) {  // who wants to know calls close()
  }
}

void Session::close() {
  if (!communicator_) return;
  if (communicator_->failed() && !group_->failure())
    group_->abort({ErrorKind::peer_lost, "its communicator has failed", {}, {}});
  // All or none: what is freed collectively must not be waited for by some.
  try {
    group_->barrier();
  } catch (const Failure& failure) {
    communicator_->abort(failure.error());
    end_mpi();
    throw;
  }
  end_mpi();
}

void Session::abort(const Error& reason) noexcept {
  group_->abort(reason);
  if (communicator_) communicator_->abort(reason);
}

void Session::check_peers() const {
  if (const auto error = group_->failure()) throw Failure(*error);
}

void Session::end_mpi() {
  communicator_.reset();
  group_->free();
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (owns_mpi_ && !finalized) MPI_Finalize();
}

void Session::start_mpi() {
  int initialized = 0;
  MPI_Initialized(&initialized);
  if (initialized) return;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &thread_level_);
  owns_mpi_ = true;
}

// The first rank of each node numbers the nodes and tells its neighbours.
void Session::find_node() {
  const MpiComm leaders = MpiComm::split(comm(), local_rank() == 0 ? 0 : MPI_UNDEFINED, rank());
  int place[2] = {leaders.rank(), leaders.size()};
  group_->broadcast(place, sizeof place, 0, group_->node_comm());
  node_ = place[0];
  node_count_ = place[1];
}

bool Session::has_all_ranks() const {
  int all = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &all);
  return world_size() == all;
}

// Which GPU of the node is this rank's. Sessions side by side must not meet on one: the number is that among all ranks
// of the node, where the launcher told it to every rank of the session and there are as many GPUs.
int Session::device_rank(int gpus) const {
  const auto told = launched_as().value_or(RankEnvironment{}).local_rank;
  int lowest_highest[2] = {told ? -*told : 1, told.value_or(0)};
  group_->all_reduce(lowest_highest, 2, MPI_MAX, group_->node_comm());
  const bool all_told = lowest_highest[0] <= 0;
  return !has_all_ranks() && all_told && lowest_highest[1] < gpus ? *told : local_rank();
}

void Session::seed_rank(std::int64_t step) const { at::manual_seed(rank_seed(seed_, rank(), step)); }

void Session::check_world_size() const {
  const auto told = expected_world_size();
  const auto launched = launched_as();
  auto expected = told;
  if (!told && world_size() == 1 && launched) expected = launched->world_size;
  if (!expected || *expected == world_size()) return;
  std::string hint = world_size_hint(world_size(), *expected, launched);
  if (!told) hint += ". " + alone_on_purpose_hint();
  fail(ErrorKind::environment,
       "world size is " + std::to_string(world_size()) + ", expected " + std::to_string(*expected), hint);
}

std::string Session::mpi_version() const {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(text, &length);
  std::string version(text, static_cast<std::size_t>(length));
  // "Open MPI v4.1.4, package: …", "MPICH Version:      4.0.2\n…"
  version = version.substr(0, version.find_first_of(",\n"));
  version.erase(std::unique(version.begin(), version.end(), [](char a, char b) { return a == ' ' && b == ' '; }),
                version.end());
  if (const auto v = version.find(" v"); v != std::string::npos) version.erase(v + 1, 1);
  return version;
}

void Session::agree_on(const std::function<void()>& work) const {
  std::optional<Error> mine;
  try {
    work();
  } catch (const std::exception& e) {
    mine = to_error(e);
  }
  int reporter = mine ? rank() : world_size(), failed = mine ? 1 : 0;
  group_->all_reduce(&reporter, 1, MPI_MIN, comm());
  if (reporter == world_size()) return;
  group_->all_reduce(&failed, 1, MPI_SUM, comm());
  // The kind decides the exit code, which must be the same everywhere: a launcher reports any of them.
  int kind = mine ? static_cast<int>(mine->kind) : 0;
  group_->broadcast(&kind, sizeof kind, reporter, comm());
  Error error = mine.value_or(Error{ErrorKind::peer_lost, "rank " + std::to_string(reporter) + " failed", {}, {}});
  error.kind = static_cast<ErrorKind>(kind);
  // Where it matters: files are looked at by local rank 0, and its node is plain when there is only one.
  if (failed < world_size() && mine && (local_rank() != 0 || node_count_ > 1))
    error.where = "rank " + std::to_string(rank()) + " on " + host_ + (error.where.empty() ? "" : ", " + error.where);
  throw AgreedFailure(std::move(error), reporter == rank());
}

void Session::broadcast_text(std::string& text, MPI_Comm comm) const {
  unsigned long long bytes = text.size();
  group_->broadcast(&bytes, sizeof bytes, 0, comm);
  text.resize(bytes);
  group_->broadcast(text.data(), text.size(), 0, comm);
}

}  // namespace lockstep
