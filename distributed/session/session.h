// What a rank is and where it runs: MPI, its place among the ranks, its device, its run.
#pragma once

#include <c10/core/Device.h>
#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>

#include "lockstep/core/error.h"
#include "lockstep/core/run.h"
#include "lockstep/distributed/communicator/make_communicator.h"
#include "lockstep/distributed/session/rank_group.h"
#include "lockstep/distributed/session/start_up_clock.h"

namespace lockstep {

// Which run a session's metrics and outputs belong to.
enum class RunContext {
  automatic,    // that of the environment when the session has all ranks of the job, else none: a run has one writer
  environment,  // the run of LOCKSTEP_RUN_DIR; offline without one. At most one session of a job at a time
  none          // offline (core/run.h), whatever the environment says
};

// What touches the whole process is done on request: threads, seed.
struct SessionOptions {
  // auto, cpu, cuda or cuda:<number>; auto: a GPU where one is present and this build can use it. A GPU becomes the
  // current device of the thread.
  std::string device = "auto";
  // Computing threads of the process; 0 leaves LibTorch's own choice (all cores). Unset: 1, but what is set already
  // when the program brings its own communicator.
  std::optional<int> threads = {};
  // `cuda` and `interrupted` are set by the session. timeout_seconds bounds the session's own collectives as well.
  CommunicatorOptions communicator = {};
  // LibTorch's generators of the process start from it, on every rank alike: a module that is made next gets the values
  // that Python's gets after torch.manual_seed(seed). See seed_rank(). Unset: they are left alone.
  std::optional<std::uint64_t> seed = {};
  RunContext run = RunContext::automatic;
};

// An error that every rank knows of, so that all can leave in order: one rank prints it, nobody has to be aborted.
class AgreedFailure : public Failure {
 public:
  AgreedFailure(Error error, bool reports) : Failure(std::move(error)), reports_(reports) {}
  // Whether this rank is the one that tells the user.
  bool reports() const { return reports_; }

 private:
  bool reports_;
};

// Made before any tensor code runs where a GPU is to be used (its libraries are loaded here). Construction and
// destruction are collective; between them a rank that fails leaves nobody waiting (abort()). In a thread that may call
// MPI, and one thread at a time.
class Session {
 public:
  // Initialises MPI unless the program has done so already, and then also ends it. Works under any launcher and under
  // none (one rank). Throws AgreedFailure, MPI ended: usage (a bad LOCKSTEP_EXPECTED_WORLD_SIZE or LOCKSTEP_ATTEMPT),
  // environment (no GPU for `cuda`; LOCKSTEP_RUN_DIR is no directory; another number of ranks than expected, or one
  // rank where a launcher's variables tell of several, with the reason in the hint).
  explicit Session(const SessionOptions& options = {});
  // Over some ranks of a program that has initialised MPI itself, at any thread level, and will end it: the ranks of
  // `comm`, which is duplicated. Others of the job take no part, and may train together in sessions of their own at the
  // same time. Throws what the constructor above throws, but the number of ranks is the program's; and Failure(usage)
  // on a rank whose `comm` is no communicator of one group (MPI_COMM_NULL), or outside of MPI_Init and MPI_Finalize.
  explicit Session(MPI_Comm comm, const SessionOptions& options = {});
  // Does close(), and keeps what that throws to itself. While an exception unwinds: abort(), and MPI is not ended.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  int rank() const { return group_->rank(); }
  int world_size() const { return group_->size(); }        // ranks of this session
  int local_rank() const { return group_->local_rank(); }  // number among its ranks that share this node's memory
  int local_size() const { return group_->local_size(); }
  int node() const { return node_; }  // nodes are numbered in the order of their lowest rank
  int node_count() const { return node_count_; }
  const std::string& host() const { return host_; }
  c10::Device device() const { return device_; }

  // A duplicate of the caller's communicator (MPI_COMM_WORLD) that belongs to this session. Returns errors, which
  // check_mpi() makes Failures (communicator/mpi_support.h). A blocking call on it knows of no timeout.
  MPI_Comm comm() const { return group_->comm(); }
  // Whether MPI lets another thread than the main one call it (MPI_THREAD_SERIALIZED or more): a progress thread needs
  // that.
  bool threads_may_communicate() const { return thread_level_ >= MPI_THREAD_SERIALIZED; }
  // Over all ranks of the session; made with it.
  Communicator& communicator() { return *communicator_; }
  // A further one over all ranks, of the same kind, whose calls have an order of their own: for layers that communicate
  // in forward and backward (layers/). Collective. It must be gone before the session ends.
  std::unique_ptr<Communicator> another_communicator() const;
  // "Open MPI 4.1.4": the library's name and version.
  std::string mpi_version() const;

  Run& run() { return *run_; }
  StartUpClock& start_up() { return start_up_; }

  // From here on this rank draws random numbers of its own (dropout), which follow from the options' seed (0 where it
  // is unset), the rank and `step`. For the time after the module is made.
  void seed_rank(std::int64_t step = 0) const;

  // Runs `work`, which must not communicate, on every rank, and compares the outcomes. Collective. When it throws on
  // any rank, all ranks throw AgreedFailure with the error of the lowest such rank: a bad input is then reported once,
  // and ends the job in order.
  template <typename Work>
  auto agree(Work&& work) {
    using Value = std::invoke_result_t<Work>;
    if constexpr (std::is_void_v<Value>) {
      agree_on(work);
    } else {
      std::optional<Value> value;
      agree_on([&] { value.emplace(work()); });
      return std::move(*value);
    }
  }

  // Collective, host memory: rank 0's bytes or text to all ranks. For set-up; not while a collective of a Communicator
  // is under way. These and agree() throw Failure(peer_lost) when a rank has failed, or after the timeout.
  void broadcast_bytes(void* data, std::size_t bytes) const { group_->broadcast(data, bytes, 0, comm()); }
  void broadcast_text(std::string& text) const { broadcast_text(text, comm()); }
  // The same within each node: the text of the node's local rank 0.
  void broadcast_text_in_node(std::string& text) const { broadcast_text(text, group_->node_comm()); }
  // Collective: `bytes` bytes of each rank, at most 16 MB, to `all` on rank 0, by rank; null elsewhere.
  void gather_bytes(const void* data, std::size_t bytes, void* all) const { group_->gather(data, bytes, all); }

  // Ends this training, not the job: what the other ranks wait for here throws Failure(peer_lost) within moments, with
  // this rank and `reason` in its sentence, and so does every later call on any rank. Not collective, waits for nobody,
  // ends no process. What MPI could only free together stays until MPI_Finalize.
  void abort(const Error& reason) noexcept;
  // Runs `work` and returns what it returns. When it throws, tells the others first: abort(), unless all know already.
  template <typename Work>
  decltype(auto) guard(Work&& work) {
    try {
      return work();
    } catch (const AgreedFailure&) {
      throw;
    } catch (const std::exception& e) {
      abort(to_error(e));
      throw;
    } catch (...) {
      abort({ErrorKind::internal, "an exception of unknown type", {}, {}});
      throw;
    }
  }
  // Throws Failure(peer_lost) when another rank has called abort(). Waits for nobody: for a rank that is busy with
  // other things. From time to time, not in every step: it asks MPI.
  void check_peers() const;
  // Collective: the session's end, and MPI's where the session has started it. Throws Failure(peer_lost) when the ranks
  // do not come together for it. DataParallel, optimizers and the communicator's memory must be gone. Nothing but the
  // destructor may follow.
  void close();

 private:
  void start(MPI_Comm comm, const SessionOptions& options);
  void start_mpi();
  void find_node();
  int device_rank(int gpus) const;
  bool has_all_ranks() const;
  void check_world_size() const;
  void make_communicator(CommunicatorOptions options);
  void end_mpi();
  void agree_on(const std::function<void()>& work) const;
  void broadcast_text(std::string& text, MPI_Comm comm) const;

  StartUpClock start_up_;
  std::shared_ptr<RankGroup> group_;  // shared with the communicator, which asks it whether a rank has failed
  CommunicatorOptions communicator_options_;
  std::unique_ptr<Communicator> communicator_;
  std::optional<Run> run_;
  bool embedded_ = false, owns_mpi_ = false;
  int exceptions_at_start_ = 0;
  int thread_level_ = MPI_THREAD_SINGLE;
  int node_ = 0, node_count_ = 1;
  std::uint64_t seed_ = 0;
  std::string host_;
  c10::Device device_{c10::DeviceType::CPU};
};

}  // namespace lockstep
