// One collective of an MpiCommunicator under way.
#pragma once

#include <cstddef>
#include <vector>

#include "lockstep/distributed/communicator/call_check.h"
#include "lockstep/distributed/communicator/mpi_communicator.h"

namespace lockstep {

class MpiOperation final : public EngineOperation {
 public:
  explicit MpiOperation(const MpiCommunicator& owner) : owner_(owner) {}

  // A new life in the pool. input is not used by all_reduce, broadcast and barrier, which work in place.
  void start(const Call& call, std::uint64_t sequence, const Buffer& input, const Buffer& output);

  void advance(Stage limit) override;
  std::string description() const override { return describe(call_, sequence_); }
  std::string waiting_for() const override;

 private:
  void post();
  void post_all_reduce();
  void post_reduce_scatter();
  void post_all_gather();
  void post_broadcast(const Buffer& buffer, int root);
  bool averages() const { return call_.op == ReduceOp::average; }
  double scale() const { return 1.0 / owner_.size(); }
  void scale_input();
  void finish();
  bool test();                 // all requests complete
  MPI_Request* new_request();  // MPI fills it in

  const MpiCommunicator& owner_;
  Call call_;
  std::uint64_t sequence_ = 0;
  Buffer input_;
  Buffer output_;
  CallCheck check_;
  bool checked_ = false;
  bool through_scratch_ = false;
  std::vector<MPI_Request> requests_;
  std::vector<std::byte> scaled_;   // input of an average that is scaled before it is summed
  std::vector<std::byte> scratch_;  // output of a reduce_scatter in place, which MPI's own IN_PLACE does not offer
};

}  // namespace lockstep
