#include "lockstep/distributed/session/session.h"

#include <ATen/Parallel.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "lockstep/distributed/session/device.h"
#include "lockstep/distributed/session/expected_world.h"

namespace lockstep {
namespace {

std::string host_name() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace

Session::Session(const SessionOptions& options) : communicator_options_(options.communicator), host_(host_name()) {
  (void)launched_as();                              // before MPI sets variables of its own
  const GpuSupport gpu = find_gpu(options.device);  // before MPI: the GPU's libraries must be the first tensor code
  start_mpi();
  find_place();
  start_up_.mark("mpi");
  try {
    agree_on([&] {
      run_ = Run::get_context();
      check_world_size();
      device_ = choose_device(gpu, local_rank_);
      use_device(device_);
    });
  } catch (...) {
    end_mpi();  // in order: every rank is here
    throw;
  }
  if (options.threads > 0) at::set_num_threads(options.threads);
}

// MPI_Finalize waits for all ranks: while an exception unwinds, the others are elsewhere and this process is about to
// end.
Session::~Session() {
  if (std::uncaught_exceptions() == 0) end_mpi();
}

void Session::end_mpi() {
  communicator_.reset();
  for (MPI_Comm* comm : {&node_comm_, &comm_})
    if (*comm != MPI_COMM_NULL) MPI_Comm_free(comm);
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (owns_mpi_ && !finalized) MPI_Finalize();
}

void Session::start_mpi() {
  int initialized = 0;
  MPI_Initialized(&initialized);
  if (initialized) {
    MPI_Query_thread(&thread_level_);
  } else {
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &thread_level_);
    owns_mpi_ = true;
  }
  MPI_Comm_dup(MPI_COMM_WORLD, &comm_);
  MPI_Comm_rank(comm_, &rank_);
  MPI_Comm_size(comm_, &world_size_);
}

void Session::find_place() {
  MPI_Comm leaders = MPI_COMM_NULL;
  MPI_Comm_split_type(comm_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node_comm_);
  MPI_Comm_rank(node_comm_, &local_rank_);
  MPI_Comm_size(node_comm_, &local_size_);
  // The first rank of each node numbers the nodes and tells its neighbours.
  MPI_Comm_split(comm_, local_rank_ == 0 ? 0 : MPI_UNDEFINED, rank_, &leaders);
  int place[2] = {0, 1};
  if (leaders != MPI_COMM_NULL) {
    MPI_Comm_rank(leaders, &place[0]);
    MPI_Comm_size(leaders, &place[1]);
    MPI_Comm_free(&leaders);
  }
  MPI_Bcast(place, 2, MPI_INT, 0, node_comm_);
  node_ = place[0];
  node_count_ = place[1];
}

void Session::check_world_size() const {
  const auto told = expected_world_size();
  const auto launched = launched_as();
  auto expected = told;
  if (!told && world_size_ == 1 && launched) expected = launched->world_size;
  if (!expected || *expected == world_size_) return;
  std::string hint = world_size_hint(world_size_, *expected, launched);
  if (!told) hint += ". " + alone_on_purpose_hint();
  fail(ErrorKind::environment,
       "world size is " + std::to_string(world_size_) + ", expected " + std::to_string(*expected), hint);
}

Communicator& Session::communicator() {
  if (!communicator_) {
    CommunicatorOptions options = communicator_options_;
    options.cuda = device_.is_cuda();
    if (!threads_may_communicate() && options.progress_thread == "auto") options.progress_thread = "off";
    communicator_ = make_communicator(comm_, options);
  }
  return *communicator_;
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
  const int first_failed_here = mine ? rank_ : world_size_;
  int reporter = world_size_, failed = mine ? 1 : 0;
  MPI_Allreduce(&first_failed_here, &reporter, 1, MPI_INT, MPI_MIN, comm_);
  if (reporter == world_size_) return;
  MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_SUM, comm_);
  // The kind decides the exit code, which must be the same everywhere: a launcher reports any of them.
  int kind = mine ? static_cast<int>(mine->kind) : 0;
  MPI_Bcast(&kind, 1, MPI_INT, reporter, comm_);
  Error error = mine.value_or(Error{ErrorKind::peer_lost, "rank " + std::to_string(reporter) + " failed", {}, {}});
  error.kind = static_cast<ErrorKind>(kind);
  // Where it matters: files are looked at by local rank 0, and its node is plain when there is only one.
  if (failed < world_size_ && mine && (local_rank_ != 0 || node_count_ > 1))
    error.where = "rank " + std::to_string(rank_) + " on " + host_ + (error.where.empty() ? "" : ", " + error.where);
  throw AgreedFailure(std::move(error), reporter == rank_);
}

void Session::broadcast_bytes(void* data, std::size_t bytes, MPI_Comm comm) {
  constexpr std::size_t kPiece = std::size_t{1} << 30;  // MPI counts in int
  for (std::size_t done = 0; done < bytes; done += kPiece) {
    const auto count = static_cast<int>(std::min(kPiece, bytes - done));
    MPI_Bcast(static_cast<char*>(data) + done, count, MPI_BYTE, 0, comm);
  }
}

void Session::broadcast_text(std::string& text, MPI_Comm comm) {
  unsigned long long bytes = text.size();
  MPI_Bcast(&bytes, 1, MPI_UNSIGNED_LONG_LONG, 0, comm);
  text.resize(bytes);
  broadcast_bytes(text.data(), text.size(), comm);
}

}  // namespace lockstep
