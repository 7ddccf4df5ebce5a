// A random program of collectives, the same on every rank: several under way at once, buffers rewritten as soon as they
// may be, some of the memory visible to the peers and some not.
#pragma once

#include <array>
#include <random>
#include <vector>

#include "collective_cases.h"
#include "lockstep/distributed/communicator/call.h"

namespace lockstep::testing {

class RandomCollectives {
 public:
  // Collective. bytes: of each of the buffers that are in use at once.
  RandomCollectives(Communicator& communicator, unsigned seed, std::int64_t largest_count)
      : communicator_(communicator), random_(seed), largest_(largest_count) {
    for (auto& slot : slots_) slot.direct = communicator.allocate(largest_ * 8 * communicator.size());
    for (auto& slot : slots_) slot.foreign.resize(static_cast<std::size_t>(largest_ * communicator.size()));
  }

  // `count` random calls; every result is checked.
  void run(int count) {
    for (int call = 0; call < count && !::testing::Test::HasFailure(); ++call) {
      Slot& slot = slots_[static_cast<std::size_t>(call) % slots_.size()];
      finish(slot);
      start(slot, call);
      if (pick(4) == 0) communicator_.progress();
      if (pick(7) == 0) finish(slots_[static_cast<std::size_t>(pick(static_cast<int>(slots_.size())))]);
      if (pick(50) == 0) communicator_.barrier();
    }
    for (Slot& slot : slots_) finish(slot);
  }

 private:
  struct Slot {
    std::shared_ptr<DirectMemory> direct;
    std::vector<std::int64_t> foreign;
    Work work;
    bool busy = false;
    Call call;
    Buffer whole;
    Buffer part;
    int salt = 0;
  };

  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

  // All random numbers are drawn on all ranks alike, whatever a rank does with them.
  void start(Slot& slot, int salt) {
    const int size = communicator_.size(), rank = communicator_.rank();
    const int kind = pick(6);  // all_reduce more often than the others
    slot.call.kind = kind > 3 ? CallKind::all_reduce : static_cast<CallKind>(kind);
    slot.call.type = all_types[pick(5)];
    slot.call.op = all_ops[pick(4)];
    if (slot.call.op == ReduceOp::average && slot.call.type == DataType::int64) slot.call.op = ReduceOp::max;
    slot.call.root = pick(size);
    slot.call.count = pick(3) == 0 ? pick(40) : pick(static_cast<int>(largest_) + 1);
    const int place = pick(3), odd_one = pick(size);
    const bool direct = place == 0 || (place == 1 && rank != odd_one);  // 1: one rank differs from the others
    slot.salt = salt;
    slot.busy = true;
    void* const memory = direct ? slot.direct->data() : slot.foreign.data();
    const bool several_parts = slot.call.kind == CallKind::reduce_scatter || slot.call.kind == CallKind::all_gather;
    slot.whole = {memory, slot.call.count * (several_parts ? size : 1), slot.call.type};
    slot.part = part_of(slot.whole, several_parts ? rank * slot.call.count : 0, slot.call.count);
    fill(slot.call.kind == CallKind::all_gather ? slot.part : slot.whole, rank, salt);
    slot.work = launch(slot);
  }

  Work launch(Slot& slot) {
    switch (slot.call.kind) {
      case CallKind::reduce_scatter:
        return communicator_.reduce_scatter(slot.whole, slot.part, slot.call.op);
      case CallKind::all_gather:
        return communicator_.all_gather(slot.part, slot.whole);
      case CallKind::broadcast:
        return communicator_.broadcast(slot.whole, slot.call.root);
      default:
        return communicator_.all_reduce(slot.whole, slot.call.op);
    }
  }

  void finish(Slot& slot) {
    if (!slot.busy) return;
    slot.work.wait();
    slot.busy = false;
    SCOPED_TRACE(describe(slot.call, static_cast<std::uint64_t>(slot.salt)));
    const int size = communicator_.size(), rank = communicator_.rank();
    const std::int64_t count = slot.call.count;
    const auto reduced = [&](std::int64_t i) {
      return expected_value(slot.call.type, slot.call.op, size, i, slot.salt);
    };
    switch (slot.call.kind) {
      case CallKind::reduce_scatter:
        return check_elements(slot.part, [&](std::int64_t i) { return reduced(rank * count + i); });
      case CallKind::all_gather:
        return check_elements(slot.whole,
                              [&](std::int64_t i) { return value(static_cast<int>(i / count), i % count, slot.salt); });
      case CallKind::broadcast:
        return check_elements(slot.whole, [&](std::int64_t i) { return value(slot.call.root, i, slot.salt); });
      default:
        return check_elements(slot.whole, reduced);
    }
  }

  Communicator& communicator_;
  std::mt19937 random_;
  std::int64_t largest_;
  std::array<Slot, 6> slots_;
};

}  // namespace lockstep::testing
