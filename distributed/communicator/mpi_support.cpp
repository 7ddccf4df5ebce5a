#include "lockstep/distributed/communicator/mpi_support.h"

#include <exception>
#include <string>
#include <utility>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/reduce_kernels.h"

namespace lockstep {
namespace {

// Signature fixed by MPI: inout = in op inout. MPI may call it with any number of elements.
template <DataType type, ReduceOp op>
void combine(void* in, void* inout, int* count, MPI_Datatype*) {
  auto* const output = static_cast<std::byte*>(inout);
  const std::byte* const inputs[] = {static_cast<const std::byte*>(in), output};
  reduce(type, op, 1.0, inputs, {&output, 1}, *count);
}

}  // namespace

void check_mpi(int code, std::string_view call) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  fail(ErrorKind::peer_lost, std::string(call) + " failed: " + std::string(text, static_cast<std::size_t>(length)),
       "a rank may have died, or called another collective or count; see the other ranks' logs");
}

MpiLock lock_mpi() {
  static std::recursive_mutex mutex;
  return MpiLock(mutex);
}

MpiLock lock_mpi_while_blocking() {
  int level = MPI_THREAD_SINGLE;
  MPI_Query_thread(&level);
  return level == MPI_THREAD_MULTIPLE ? MpiLock() : lock_mpi();
}

bool may_free_mpi_objects() noexcept {
  int finalized = 0;
  MPI_Finalized(&finalized);
  return finalized == 0 && std::uncaught_exceptions() == 0;
}

MpiComm::MpiComm(MPI_Comm comm) : comm_(comm) {
  if (comm_ == MPI_COMM_NULL) return;
  MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
  MPI_Comm_rank(comm_, &rank_);
  MPI_Comm_size(comm_, &size_);
}

MpiComm MpiComm::duplicate(MPI_Comm comm) {
  const auto lock = lock_mpi_while_blocking();
  MPI_Comm result = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(comm, &result), "MPI_Comm_dup");
  return MpiComm(result);
}

MpiComm MpiComm::split(MPI_Comm comm, int color, int key) {
  const auto lock = lock_mpi_while_blocking();
  MPI_Comm result = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(comm, color, key, &result), "MPI_Comm_split");
  return MpiComm(result);
}

MpiComm MpiComm::split_by_node(MPI_Comm comm) {
  const auto lock = lock_mpi_while_blocking();
  int rank = 0;
  MPI_Comm_rank(comm, &rank);
  MPI_Comm result = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &result), "MPI_Comm_split_type");
  return MpiComm(result);
}

MpiComm::MpiComm(MpiComm&& other) noexcept
    : comm_(std::exchange(other.comm_, MPI_COMM_NULL)), rank_(other.rank_), size_(other.size_) {}

MpiComm& MpiComm::operator=(MpiComm&& other) noexcept {
  if (this == &other) return *this;
  free();
  comm_ = std::exchange(other.comm_, MPI_COMM_NULL);
  rank_ = other.rank_;
  size_ = other.size_;
  return *this;
}

MpiComm::~MpiComm() { free(); }

void MpiComm::free() noexcept {
  if (comm_ == MPI_COMM_NULL || !may_free_mpi_objects()) return;
  const auto lock = lock_mpi_while_blocking();
  MPI_Comm_free(&comm_);
}

MPI_Datatype mpi_type(DataType type) {
  switch (type) {
    case DataType::float32:
      return MPI_FLOAT;
    case DataType::float64:
      return MPI_DOUBLE;
    case DataType::int64:
      return MPI_INT64_T;
    case DataType::bfloat16:
    case DataType::float16:
      return MPI_UINT16_T;
  }
  return MPI_DATATYPE_NULL;
}

MpiOps::MpiOps() {
  const auto lock = lock_mpi();
  create<DataType::bfloat16>();
  create<DataType::float16>();
  create<DataType::float32>();
  create<DataType::float64>();
}

template <DataType type>
void MpiOps::create() {
  MPI_User_function* const functions[] = {combine<type, ReduceOp::sum>, combine<type, ReduceOp::min>,
                                          combine<type, ReduceOp::max>};
  auto& ops = own_[static_cast<std::size_t>(type)];
  for (std::size_t op = 0; op < ops.size(); ++op) {
    check_mpi(MPI_Op_create(functions[op], /*commute=*/1, &ops[op]), "MPI_Op_create");
  }
}

MpiOps::~MpiOps() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized != 0) return;
  const auto lock = lock_mpi();
  for (auto& ops : own_) {
    for (auto& op : ops) MPI_Op_free(&op);
  }
}

MPI_Op MpiOps::get(DataType type, ReduceOp op) const {
  const int kind = op == ReduceOp::min ? 1 : op == ReduceOp::max ? 2 : 0;
  const bool half = type == DataType::bfloat16 || type == DataType::float16;
  if (type == DataType::int64 || (kind == 0 && !half)) return kind == 0 ? MPI_SUM : kind == 1 ? MPI_MIN : MPI_MAX;
  return own_[static_cast<std::size_t>(type)][static_cast<std::size_t>(kind)];
}

}  // namespace lockstep
