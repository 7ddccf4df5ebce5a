// What a rank is and where it runs: MPI, its place among the ranks, its device, its run.
#pragma once

#include <c10/core/Device.h>
#include <mpi.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>

#include "lockstep/core/error.h"
#include "lockstep/core/run.h"
#include "lockstep/distributed/communicator/make_communicator.h"
#include "lockstep/distributed/session/start_up_clock.h"

namespace lockstep {

struct SessionOptions {
  std::string device = "auto";  // auto, cpu or cuda; auto: a GPU where one is present and this build can use it
  int threads = 1;              // computing threads of each rank; 0 leaves LibTorch's own choice (all cores)
  CommunicatorOptions communicator = {};  // `cuda` is set from the device
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

// One per process, on the main thread, made before any tensor code runs (a GPU's libraries are loaded here).
// Construction and destruction are collective.
class Session {
 public:
  // Initialises MPI unless the program has done so already, and then also ends it. Works under any launcher and under
  // none (one rank). Throws AgreedFailure, MPI ended: usage (a bad LOCKSTEP_EXPECTED_WORLD_SIZE or LOCKSTEP_ATTEMPT),
  // environment (no GPU for `cuda`; LOCKSTEP_RUN_DIR is no directory; another number of ranks than expected, or one
  // rank where a launcher's variables tell of several, with the reason in the hint).
  explicit Session(const SessionOptions& options = {});
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  int rank() const { return rank_; }
  int world_size() const { return world_size_; }
  int local_rank() const { return local_rank_; }  // number among the ranks that share this node's memory
  int local_size() const { return local_size_; }
  int node() const { return node_; }  // nodes are numbered in the order of their lowest rank
  int node_count() const { return node_count_; }
  const std::string& host() const { return host_; }
  c10::Device device() const { return device_; }

  // A duplicate of MPI_COMM_WORLD that belongs to this session.
  MPI_Comm comm() const { return comm_; }
  // Whether MPI lets another thread than the main one call it (MPI_THREAD_SERIALIZED or more): a progress thread needs
  // that.
  bool threads_may_communicate() const { return thread_level_ >= MPI_THREAD_SERIALIZED; }
  // The communicator over all ranks, made by the first call, which is collective. Throws what make_communicator throws.
  Communicator& communicator();
  // "Open MPI 4.1.4": the library's name and version.
  std::string mpi_version() const;

  Run& run() { return *run_; }
  StartUpClock& start_up() { return start_up_; }

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
  // is under way.
  void broadcast_bytes(void* data, std::size_t bytes) const { broadcast_bytes(data, bytes, comm_); }
  void broadcast_text(std::string& text) const { broadcast_text(text, comm_); }
  // The same within each node: the text of the node's local rank 0.
  void broadcast_text_in_node(std::string& text) const { broadcast_text(text, node_comm_); }

 private:
  void start_mpi();
  void find_place();
  void check_world_size() const;
  void end_mpi();
  void agree_on(const std::function<void()>& work) const;
  static void broadcast_bytes(void* data, std::size_t bytes, MPI_Comm comm);
  static void broadcast_text(std::string& text, MPI_Comm comm);

  StartUpClock start_up_;
  CommunicatorOptions communicator_options_;
  std::unique_ptr<Communicator> communicator_;
  std::optional<Run> run_;
  MPI_Comm comm_ = MPI_COMM_NULL, node_comm_ = MPI_COMM_NULL;
  bool owns_mpi_ = false;
  int thread_level_ = MPI_THREAD_SINGLE;
  int rank_ = 0, world_size_ = 1, local_rank_ = 0, local_size_ = 1, node_ = 0, node_count_ = 1;
  std::string host_;
  c10::Device device_{c10::DeviceType::CPU};
};

}  // namespace lockstep
