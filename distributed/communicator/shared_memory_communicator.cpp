#include "lockstep/distributed/communicator/shared_memory_communicator.h"

#include <exception>
#include <utility>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/plain_memory.h"

namespace lockstep {
namespace {

// A user's handle on its piece of a block. Freed collectively, later: when no rank holds it any more.
class SharedMemory final : public DirectMemory {
 public:
  SharedMemory(std::shared_ptr<SharedBlock> block, int rank)
      : block_(std::move(block)), data_(block_->of_rank[static_cast<std::size_t>(rank)]) {}
  void* data() override { return data_; }
  std::int64_t bytes() const override { return block_->bytes; }

 private:
  std::shared_ptr<SharedBlock> block_;
  std::byte* data_;
};

SharedContext make_context(NodeMemory& memory, SharedMemoryOptions& options) {
  if (options.layout.nodes.empty()) options.layout = NodeLayout::one_node(memory.rank(), memory.size());
  const int owners = options.layout.smallest();
  const double scale = 1.0 / options.layout.size();
  std::vector<CommunicatorStatistics::Arrivals> arrivals;
  for (const int rank : options.layout.own_node()) arrivals.push_back({.rank = rank});
  return {.region = SharedRegion(memory, options.staging),
          .layout = std::move(options.layout),
          .between = std::move(options.between),
          .world = std::move(options.world),
          .owners = owners,
          .scale = scale,
          .verify = options.verify,
          .arrivals = std::move(arrivals)};
}

}  // namespace

SharedMemoryCommunicator::SharedMemoryCommunicator(std::unique_ptr<NodeMemory> memory, SharedMemoryOptions options)
    : memory_(std::move(memory)),
      context_(make_context(*memory_, options)),
      size_(context_.layout.size()),
      engine_(std::move(options.engine)) {}

SharedMemoryCommunicator::~SharedMemoryCommunicator() {
  engine_->close();
  if (engine_->failed() || std::uncaught_exceptions() > 0) {
    memory_->abandon();
    context_.world.abandon();
    if (context_.between) context_.between->abandon();
    return;
  }
  try {
    context_.region.free_unused_blocks(*memory_);
    memory_->free(context_.region.memory());
  } catch (const Failure&) {  // a peer is gone; the system frees the memory when the last rank ends
  }
}

Work SharedMemoryCommunicator::all_reduce(Buffer buffer, ReduceOp op) {
  return start(all_reduce_call(buffer, op), {}, buffer);
}

Work SharedMemoryCommunicator::reduce_scatter(Buffer input, Buffer output, ReduceOp op) {
  return start(reduce_scatter_call(input, output, op, rank(), size()), input, output);
}

Work SharedMemoryCommunicator::all_gather(Buffer input, Buffer output) {
  return start(all_gather_call(input, output, rank(), size()), input, output);
}

Work SharedMemoryCommunicator::broadcast(Buffer buffer, int root) {
  return start(broadcast_call(buffer, root, size()), {}, buffer);
}

void SharedMemoryCommunicator::barrier() { start(Call{}, {}, {}).wait(); }

std::shared_ptr<DirectMemory> SharedMemoryCommunicator::allocate(std::int64_t bytes) {
  check_allocation(bytes);
  engine_->wait_until_idle();  // a peer may need this rank to complete a collective before it gets here
  try {
    context_.region.free_unused_blocks(*memory_);
    auto block = memory_->allocate(bytes);
    context_.region.add_block(block);
    return std::make_shared<SharedMemory>(std::move(block), memory_->rank());
  } catch (const Failure& failure) {  // where a rank is missing, nothing can go on; where memory is, all know
    if (failure.error().kind == ErrorKind::peer_lost) engine_->abort(failure.error());
    throw;
  }
}

CommunicatorStatistics SharedMemoryCommunicator::statistics() const {
  CommunicatorStatistics result = engine_->statistics();
  const auto lock = engine_->lock();
  result.of_node = context_.arrivals;
  return result;
}

std::int64_t SharedMemoryCommunicator::memory_bytes() const {
  const auto lock = engine_->lock();
  return context_.region.bytes() + (context_.between ? context_.between->memory_bytes() : 0);
}

Work SharedMemoryCommunicator::start(const Call& call, const Buffer& input, const Buffer& output) {
  auto operation = free_operation();
  operation->start(engine_, call, ++sequence_, input, output);
  engine_->submit(operation, bytes_of(call, size()));
  return Work(std::move(operation));
}

std::shared_ptr<SharedOperation> SharedMemoryCommunicator::free_operation() {
  for (auto& operation : pool_) {
    if (operation->complete() && operation.use_count() == 1)
      return operation;  // neither the engine nor a Work holds it
  }
  return pool_.emplace_back(std::make_shared<SharedOperation>(context_));
}

}  // namespace lockstep
