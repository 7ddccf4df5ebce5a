// Collectives whose results are known in closed form, for every backend. Element i of rank r is small and asymmetric in
// both, so that a wrong offset, a missing rank or a double sum shows, and exact in every type.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "lockstep/distributed/communicator/communicator.h"
#include "lockstep/distributed/communicator/element.h"

namespace lockstep::testing {

// Whole numbers of magnitude below 64: sums over 8 ranks stay exact in bfloat16's 8 bits (below 256 as it happens).
inline int value(int rank, std::int64_t i, int salt = 0) {
  return static_cast<int>((i * 7 + rank * 5 + (i / 13) * (rank + 1) + salt) % 29) - 9;
}

inline int expected(ReduceOp op, int size, std::int64_t i, int salt = 0) {
  int result = value(0, i, salt);
  for (int rank = 1; rank < size; ++rank) {
    const int next = value(rank, i, salt);
    if (op == ReduceOp::min) result = std::min(result, next);
    if (op == ReduceOp::max) result = std::max(result, next);
    if (op == ReduceOp::sum || op == ReduceOp::average) result += next;
  }
  return result;
}

inline void store(const Buffer& buffer, std::int64_t i, double v) {
  switch (buffer.type) {
    case DataType::float32:
      static_cast<float*>(buffer.data)[i] = static_cast<float>(v);
      break;
    case DataType::float64:
      static_cast<double*>(buffer.data)[i] = v;
      break;
    case DataType::int64:
      static_cast<std::int64_t*>(buffer.data)[i] = static_cast<std::int64_t>(v);
      break;
    case DataType::bfloat16:
      static_cast<std::uint16_t*>(buffer.data)[i] = float_to_bfloat16(static_cast<float>(v));
      break;
    case DataType::float16:
      static_cast<std::uint16_t*>(buffer.data)[i] = float_to_float16(static_cast<float>(v));
      break;
  }
}

inline double load(const Buffer& buffer, std::int64_t i) {
  switch (buffer.type) {
    case DataType::float32:
      return static_cast<float*>(buffer.data)[i];
    case DataType::float64:
      return static_cast<double*>(buffer.data)[i];
    case DataType::int64:
      return static_cast<double>(static_cast<std::int64_t*>(buffer.data)[i]);
    case DataType::bfloat16:
      return bfloat16_to_float(static_cast<std::uint16_t*>(buffer.data)[i]);
    case DataType::float16:
      return float16_to_float(static_cast<std::uint16_t*>(buffer.data)[i]);
  }
  return 0;
}

// The value as the type can hold it: averages over 3 ranks are not exact.
inline double rounded(DataType type, double v) {
  std::uint64_t memory = 0;
  const Buffer one{&memory, 1, type};
  store(one, 0, v);
  return load(one, 0);
}

// Where a test's buffers lie.
enum class Place { direct, foreign, direct_unaligned, foreign_unaligned, mixed };
inline std::string name_of(Place place) {
  const char* const names[] = {"direct", "foreign", "direct, unaligned", "foreign, unaligned", "direct on even ranks"};
  return names[static_cast<int>(place)];
}

// Direct memory for two buffers of a case, allocated once: windows take milliseconds each.
class Arena {
 public:
  Arena(Communicator& communicator, std::int64_t bytes_each)
      : communicator_(communicator), memory_{communicator.allocate(bytes_each), communicator.allocate(bytes_each)} {}

  Communicator& communicator() const { return communicator_; }
  std::byte* at(int number, std::int64_t bytes) const {
    if (bytes > memory_[number]->bytes()) throw std::length_error("arena of the test is too small");
    return static_cast<std::byte*>(memory_[number]->data());
  }

 private:
  Communicator& communicator_;
  std::shared_ptr<DirectMemory> memory_[2];
};

// `count` elements with a guard on both sides: a write outside is found by check_guards().
class TestBuffer {
 public:
  // number: which of the arena's two pieces. unaligned: one element behind a cache line.
  TestBuffer(const Arena& arena, int number, Place place, DataType type, std::int64_t count) {
    const auto width = static_cast<std::int64_t>(element_bytes(type));
    const bool unaligned = place == Place::direct_unaligned || place == Place::foreign_unaligned;
    const bool foreign = place == Place::foreign || place == Place::foreign_unaligned ||
                         (place == Place::mixed && arena.communicator().rank() % 2 == 1);
    offset_ = guard + (unaligned ? width : 0);
    bytes_ = offset_ + count * width + guard;
    if (foreign) {
      foreign_.resize(static_cast<std::size_t>(bytes_) + 64);
      base_ = foreign_.data() + (64 - reinterpret_cast<std::uintptr_t>(foreign_.data()) % 64);
    } else {
      base_ = arena.at(number, bytes_);
    }
    std::memset(base_, 0x5a, static_cast<std::size_t>(bytes_));
    buffer_ = {base_ + offset_, count, type};
  }

  const Buffer& get() const { return buffer_; }

  void check_guards() const {
    const std::int64_t end = bytes_ - guard;
    for (std::int64_t i = 0; i < guard; ++i) {
      ASSERT_EQ(base_[i], std::byte{0x5a}) << "written " << offset_ - i << " bytes before the buffer";
      ASSERT_EQ(base_[end + i], std::byte{0x5a}) << "written " << i << " bytes behind the buffer";
    }
  }

 private:
  static constexpr std::int64_t guard = 192;
  std::vector<std::byte> foreign_;
  std::byte* base_ = nullptr;
  std::int64_t bytes_ = 0;
  std::int64_t offset_ = 0;
  Buffer buffer_;
};

// The expected value of element i is f(i); reports the first difference only.
template <typename Function>
void check_elements(const Buffer& buffer, Function f) {
  for (std::int64_t i = 0; i < buffer.count; ++i) {
    const double expected_here = rounded(buffer.type, f(i));
    if (load(buffer, i) == expected_here) continue;  // GoogleTest's macro takes longer than the rest of the loop
    ASSERT_EQ(load(buffer, i), expected_here) << "element " << i << " of " << buffer.count;
  }
}

inline void fill(const Buffer& buffer, int rank, int salt, std::int64_t first = 0) {
  for (std::int64_t i = 0; i < buffer.count; ++i) store(buffer, i, value(rank, first + i, salt));
}

// What an average over `size` ranks must be: the sum in the type in which it is added, times 1/size.
inline double average(DataType type, int sum, int size) {
  if (type == DataType::float64) return sum * (1.0 / size);
  return static_cast<double>(static_cast<float>(sum) * static_cast<float>(1.0 / size));
}

inline double expected_value(DataType type, ReduceOp op, int size, std::int64_t i, int salt) {
  const int whole = expected(op, size, i, salt);
  return op == ReduceOp::average ? average(type, whole, size) : whole;
}

inline void check_all_reduce(const Arena& arena, Place place, DataType type, ReduceOp op, std::int64_t count) {
  SCOPED_TRACE(std::string("all_reduce of ") + std::to_string(count) + " " + std::string(type_name(type)) + " " +
               std::string(op_name(op)) + " in " + name_of(place) + " memory");
  Communicator& c = arena.communicator();
  const TestBuffer memory(arena, 0, place, type, count);
  fill(memory.get(), c.rank(), 3);
  c.all_reduce(memory.get(), op).wait();
  check_elements(memory.get(), [&](std::int64_t i) { return expected_value(type, op, c.size(), i, 3); });
  memory.check_guards();
}

inline void check_reduce_scatter(const Arena& arena, Place place, DataType type, ReduceOp op, std::int64_t count,
                                 bool in_place) {
  SCOPED_TRACE(std::string("reduce_scatter of ") + std::to_string(count) + " " + std::string(type_name(type)) +
               " per rank " + std::string(op_name(op)) + " in " + name_of(place) + " memory" +
               (in_place ? ", in place" : ""));
  Communicator& c = arena.communicator();
  const TestBuffer input(arena, 0, place, type, count * c.size());
  const TestBuffer separate(arena, 1, place, type, count);
  fill(input.get(), c.rank(), 1);
  const std::int64_t first = count * c.rank();
  const std::int64_t width = static_cast<std::int64_t>(element_bytes(type));
  const Buffer own{static_cast<std::byte*>(input.get().data) + first * width, count, type};
  const Buffer output = in_place ? own : separate.get();
  c.reduce_scatter(input.get(), output, op).wait();
  check_elements(output, [&](std::int64_t i) { return expected_value(type, op, c.size(), first + i, 1); });
  c.barrier();  // the input of other ranks may be in use up to here only if a backend is wrong: it must be unchanged
  for (std::int64_t i = 0; i < input.get().count; ++i) {
    if (load(input.get(), i) == value(c.rank(), i, 1) || (in_place && i >= first && i < first + count)) continue;
    ASSERT_EQ(load(input.get(), i), value(c.rank(), i, 1)) << "input changed at element " << i;
  }
  input.check_guards();
  separate.check_guards();
}

inline void check_all_gather(const Arena& arena, Place place, DataType type, std::int64_t count, bool in_place) {
  SCOPED_TRACE(std::string("all_gather of ") + std::to_string(count) + " " + std::string(type_name(type)) +
               " per rank in " + name_of(place) + " memory" + (in_place ? ", in place" : ""));
  Communicator& c = arena.communicator();
  const TestBuffer output(arena, 0, place, type, count * c.size());
  const TestBuffer separate(arena, 1, place, type, count);
  const std::int64_t width = static_cast<std::int64_t>(element_bytes(type));
  const Buffer own{static_cast<std::byte*>(output.get().data) + count * c.rank() * width, count, type};
  const Buffer input = in_place ? own : separate.get();
  fill(input, c.rank(), 2);
  c.all_gather(input, output.get()).wait();
  if (count > 0) {
    check_elements(output.get(), [&](std::int64_t i) { return value(static_cast<int>(i / count), i % count, 2); });
  }
  check_elements(input, [&](std::int64_t i) { return value(c.rank(), i, 2); });
  output.check_guards();
  separate.check_guards();
}

inline void check_broadcast(const Arena& arena, Place place, DataType type, std::int64_t count, int root) {
  SCOPED_TRACE(std::string("broadcast of ") + std::to_string(count) + " " + std::string(type_name(type)) +
               " from rank " + std::to_string(root) + " in " + name_of(place) + " memory");
  Communicator& c = arena.communicator();
  const TestBuffer memory(arena, 0, place, type, count);
  fill(memory.get(), c.rank(), 4);
  c.broadcast(memory.get(), root).wait();
  check_elements(memory.get(), [&](std::int64_t i) { return value(root, i, 4); });
  memory.check_guards();
}

inline constexpr DataType all_types[] = {DataType::float32, DataType::bfloat16, DataType::float16, DataType::float64,
                                         DataType::int64};
inline constexpr ReduceOp all_ops[] = {ReduceOp::sum, ReduceOp::average, ReduceOp::min, ReduceOp::max};
inline constexpr Place all_places[] = {Place::direct, Place::foreign, Place::direct_unaligned, Place::foreign_unaligned,
                                       Place::mixed};

// Every collective, type, operation and place for one number of elements.
inline void check_all_collectives(Communicator& c, std::int64_t count) {
  const Arena arena(c, (count + 128) * 8 * c.size());
  for (const Place place : all_places) {
    for (const DataType type : all_types) {
      for (const ReduceOp op : all_ops) {
        if (op == ReduceOp::average && type == DataType::int64) continue;
        check_all_reduce(arena, place, type, op, count);
        check_reduce_scatter(arena, place, type, op, count, /*in_place=*/false);
        check_reduce_scatter(arena, place, type, op, count, /*in_place=*/true);
      }
      check_all_gather(arena, place, type, count, /*in_place=*/false);
      check_all_gather(arena, place, type, count, /*in_place=*/true);
      for (int root = 0; root < c.size(); ++root) check_broadcast(arena, place, type, count, root);
    }
  }
}

}  // namespace lockstep::testing
