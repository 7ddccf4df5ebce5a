#include "lockstep/distributed/communicator/mpi_operation.h"

#include <algorithm>
#include <cstring>

#include "lockstep/distributed/communicator/reduce_kernels.h"

namespace lockstep {

void MpiOperation::start(const Call& call, std::uint64_t sequence, const Buffer& input, const Buffer& output) {
  call_ = call;
  sequence_ = sequence;
  input_ = input;
  output_ = output;
  through_scratch_ = false;
  checked_ = false;
  restart(owner_.engine_);
}

void MpiOperation::advance(Stage limit) {
  if (stage() == Stage::queued) {
    // While the calls are compared this rank's next collectives wait too: all ranks post in one order.
    const bool due = owner_.options_.verify && CallCheck::is_due(sequence_) && !checked_;
    if (due && !check_.under_way()) check_.start(owner_.comm_, call_, sequence_);
    if (due && !check_.passed()) return;
    checked_ = true;
    const auto lock = lock_mpi();
    post();
    reach(Stage::announced);
  }
  const auto lock = lock_mpi();
  if (!test() || limit != Stage::done) return;
  finish();
  reach(Stage::done);
}

std::string MpiOperation::waiting_for() const {
  if (stage() != Stage::queued) return {};
  return check_.under_way() ? "a rank has not made this call" : "an earlier collective is not complete";
}

void MpiOperation::post() {
  switch (call_.kind) {
    case CallKind::all_reduce:
      return post_all_reduce();
    case CallKind::reduce_scatter:
      return post_reduce_scatter();
    case CallKind::all_gather:
      return post_all_gather();
    case CallKind::broadcast:
      return post_broadcast(output_, call_.root);
    case CallKind::barrier:
      check_mpi(MPI_Ibarrier(owner_.comm_.get(), new_request()), "MPI_Ibarrier");
  }
}

void MpiOperation::post_all_reduce() {
  if (averages() && scales_first(call_.type)) scale_in_place(call_.type, scale(), output_.data, output_.count);
  const std::int64_t piece = owner_.options_.elements_per_call;
  for (std::int64_t first = 0; first < output_.count; first += piece) {
    const auto count = static_cast<int>(std::min(piece, output_.count - first));
    check_mpi(MPI_Iallreduce(MPI_IN_PLACE, bytes_at(output_, first), count, mpi_type(call_.type),
                             owner_.ops_.get(call_.type, call_.op), owner_.comm_.get(), new_request()),
              "MPI_Iallreduce");
  }
}

void MpiOperation::post_reduce_scatter() {
  const std::int64_t piece = owner_.options_.elements_per_call;
  const MPI_Datatype type = mpi_type(call_.type);
  const MPI_Op op = owner_.ops_.get(call_.type, call_.op);
  through_scratch_ = output_.count > 0 && output_.data == bytes_at(input_, output_.count * owner_.rank());
  if (through_scratch_) scratch_.resize(static_cast<std::size_t>(bytes_of(output_)));
  if (averages() && scales_first(call_.type)) scale_input();
  const Buffer result = through_scratch_ ? Buffer{scratch_.data(), output_.count, output_.type} : output_;
  if (output_.count <= piece) {
    check_mpi(MPI_Ireduce_scatter_block(input_.data, result.data, static_cast<int>(output_.count), type, op,
                                        owner_.comm_.get(), new_request()),
              "MPI_Ireduce_scatter_block");
    return;
  }
  for (int root = 0; root < owner_.size(); ++root) {  // a piece of every part is not contiguous: one reduction per part
    for (std::int64_t first = 0; first < output_.count; first += piece) {
      const auto count = static_cast<int>(std::min(piece, output_.count - first));
      check_mpi(MPI_Ireduce(bytes_at(input_, root * output_.count + first), bytes_at(result, first), count, type, op,
                            root, owner_.comm_.get(), new_request()),
                "MPI_Ireduce");
    }
  }
}

// Into memory of this operation: the caller's input stays as it is.
void MpiOperation::scale_input() {
  const auto* const bytes = static_cast<const std::byte*>(input_.data);
  scaled_.assign(bytes, bytes + bytes_of(input_));
  scale_in_place(call_.type, scale(), scaled_.data(), input_.count);
  input_.data = scaled_.data();
}

void MpiOperation::post_all_gather() {
  const int rank = owner_.rank();
  std::byte* const own_part = bytes_at(output_, input_.count * rank);
  if (input_.count > 0 && input_.data != own_part) {
    std::memcpy(own_part, input_.data, static_cast<std::size_t>(bytes_of(input_)));
  }
  if (input_.count <= owner_.options_.elements_per_call) {
    const auto count = static_cast<int>(input_.count);
    check_mpi(MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, output_.data, count, mpi_type(call_.type),
                             owner_.comm_.get(), new_request()),
              "MPI_Iallgather");
    return;
  }
  for (int root = 0; root < owner_.size(); ++root) {
    post_broadcast(part_of(output_, root * input_.count, input_.count), root);
  }
}

void MpiOperation::post_broadcast(const Buffer& buffer, int root) {
  const std::int64_t piece = owner_.options_.elements_per_call;
  for (std::int64_t first = 0; first < buffer.count; first += piece) {
    const auto count = static_cast<int>(std::min(piece, buffer.count - first));
    check_mpi(MPI_Ibcast(bytes_at(buffer, first), count, mpi_type(call_.type), root, owner_.comm_.get(), new_request()),
              "MPI_Ibcast");
  }
}

void MpiOperation::finish() {
  if (through_scratch_) std::memcpy(output_.data, scratch_.data(), scratch_.size());
  if (averages() && !scales_first(call_.type)) scale_in_place(call_.type, scale(), output_.data, output_.count);
}

bool MpiOperation::test() {
  if (requests_.empty()) return true;
  int complete = 0;
  check_mpi(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &complete, MPI_STATUSES_IGNORE),
            "MPI_Testall");
  if (complete != 0) requests_.clear();
  return complete != 0;
}

MPI_Request* MpiOperation::new_request() { return &requests_.emplace_back(MPI_REQUEST_NULL); }

}  // namespace lockstep
