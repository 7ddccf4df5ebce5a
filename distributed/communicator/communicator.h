// What ranks say to each other: one small interface, a file per backend. No LibTorch, no MPI in this header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lockstep/distributed/communicator/link_table.h"

namespace lockstep {

struct Error;

enum class DataType : std::uint8_t { float32, bfloat16, float16, float64, int64 };
std::size_t element_bytes(DataType type);
std::string_view type_name(DataType type);

// bfloat16 and float16 are added in float32. average: sum, then one multiplication by 1/size (integers: usage error).
// min, max: NaN where any rank has NaN, as in torch (CPU backends; NCCL promises nothing); of +0 and -0 either.
enum class ReduceOp : std::uint8_t { sum, average, min, max };
std::string_view op_name(ReduceOp op);

// `count` contiguous elements owned by the caller, who keeps them alive and untouched until Work::wait() returns.
struct Buffer {
  void* data = nullptr;
  std::int64_t count = 0;
  DataType type = DataType::float32;
};

class Operation;  // a backend's collective under way (operation.h)

// The handle of a collective. Dropping it without wait() waits (in the destructor, never throwing).
class [[nodiscard]] Work {
 public:
  Work() = default;  // already complete
  explicit Work(std::shared_ptr<Operation> operation);
  Work(Work&&) noexcept;
  Work& operator=(Work&&) noexcept;
  ~Work();

  // True when the buffer may be used. Never blocks; gives the collective a push.
  bool done();
  // CPU backends: returns when the buffer may be used. NCCL: makes the current CUDA stream wait, the host goes on.
  // Throws Failure(peer_lost) after the communicator's timeout: names the collective, its sequence number and the
  // ranks that have not arrived where the backend knows them.
  void wait();

 private:
  std::shared_ptr<Operation> operation_;
};

// Memory in which collectives work without a copy. Freed with the handle; collective where `collective` says so.
class DirectMemory {
 public:
  virtual ~DirectMemory() = default;
  virtual void* data() = 0;
  virtual std::int64_t bytes() const = 0;
};

// What this rank has spent in the collectives of one communicator, and whom it spent it on. Sums since the beginning:
// for the last N steps take the difference of two.
struct CommunicatorStatistics {
  struct Arrivals {
    int rank = 0;
    std::uint64_t last = 0;   // collectives to which this rank came last
    double late_seconds = 0;  // and how long after the last but one, in all: what it cost the others
  };
  std::uint64_t calls = 0;
  std::uint64_t bytes = 0;             // of the buffers; of reduce_scatter and all_gather, the whole ones
  double waited_seconds = 0;           // in Work::wait(), its destructor and barrier(); on CPU backends
  std::vector<Arrivals> of_node = {};  // the ranks of this node; empty where the backend cannot see who comes when

  // The rank of this node that has kept the others waiting longest; -1 where that is not known.
  int straggler() const;
};

// A group of ranks. Every rank calls the same collectives in the same order with equal count, type and operation;
// with checks on (CommunicatorOptions::verify) a difference throws Failure(peer_lost) on all ranks that names the rank
// and both calls. May be called from one thread at a time.
class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual std::string_view name() const = 0;  // "self", "mpi", "shm", "hierarchical", "nccl"

  // buffer: any count, reduced in place; every rank ends with equal bits. The order of the additions depends only on
  // the number of ranks and their placement: repeats are bitwise equal, and (but for "mpi" and "nccl") buffers cut
  // otherwise and reduce_scatter are too.
  virtual Work all_reduce(Buffer buffer, ReduceOp op) = 0;
  // input: size() * output.count elements; output: this rank's part of the reduced input. They may not overlap, but
  // output may be exactly this rank's part of input (in place).
  virtual Work reduce_scatter(Buffer input, Buffer output, ReduceOp op) = 0;
  // output: size() * input.count elements, by rank; input may be exactly this rank's part of output (in place).
  virtual Work all_gather(Buffer input, Buffer output) = 0;
  // root: the rank whose buffer all ranks end with.
  virtual Work broadcast(Buffer buffer, int root) = 0;
  // Returns when all ranks have called it.
  virtual void barrier() = 0;

  // Memory for buffers of this communicator: shared window, ncclMemAlloc, or plain aligned memory. Zeroed.
  // Collective: every rank calls it, in the same order, with equal `bytes`.
  virtual std::shared_ptr<DirectMemory> allocate(std::int64_t bytes) = 0;

  // Gives all collectives under way a push; for callers with time to spare between kernels. Never blocks.
  virtual void progress() = 0;

  virtual CommunicatorStatistics statistics() const { return {}; }
  // What this rank holds for communicating: areas through which data passes, and memory from allocate() that is not yet
  // given back. Not what MPI or NCCL hold themselves.
  virtual std::int64_t memory_bytes() const { return 0; }
  // Collectives go on while this rank computes and calls nothing here: by a thread or a GPU.
  virtual bool overlaps() const { return false; }
  // For a rank that knows that the others will not come. Not collective: the collectives under way here and every later
  // call throw Failure(error), and what could only be freed together with the others stays until the process ends. Does
  // nothing where nobody is waited for.
  virtual void abort(const Error&) noexcept {}
  // Whether a collective has failed or abort() was called: there is nothing to be had from this object any more.
  virtual bool failed() const noexcept { return false; }

  // Why it is this backend, and what is known of the links; set by make_communicator().
  const CommunicatorChoice& choice() const { return choice_; }
  void explain(CommunicatorChoice choice) { choice_ = std::move(choice); }

 protected:
  Communicator() = default;

 private:
  CommunicatorChoice choice_;
};

}  // namespace lockstep
