// A communicator for tests without MPI: a world of two whose other rank always holds the same values. It notes what it
// is asked.
#pragma once

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "lockstep/distributed/communicator/communicator.h"
#include "lockstep/distributed/communicator/plain_memory.h"

namespace lockstep::testing {

class MirrorCommunicator : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 2; }
  std::string_view name() const override { return "mirror"; }

  // The mean of two equal values is the value: nothing to do but to note it.
  Work all_reduce(Buffer buffer, ReduceOp op) override {
    note("all_reduce " + std::to_string(buffer.count) + " " + std::string(op_name(op)));
    if (on_all_reduce) on_all_reduce(buffer);
    return {};
  }
  Work all_gather(Buffer input, Buffer output) override {
    const auto bytes = input.count * element_bytes(input.type);
    std::memcpy(output.data, input.data, bytes);
    std::memcpy(static_cast<char*>(output.data) + bytes, input.data, bytes);
    return {};
  }
  Work reduce_scatter(Buffer, Buffer, ReduceOp) override { return {}; }
  Work broadcast(Buffer buffer, int) override {
    note("broadcast " + std::to_string(buffer.count));
    return {};
  }
  void barrier() override {}
  std::shared_ptr<DirectMemory> allocate(std::int64_t bytes) override { return allocate_plain_memory(bytes); }
  void progress() override {}

  void note(std::string event) { events.push_back(std::move(event)); }

  std::vector<std::string> events;
  std::function<void(Buffer)> on_all_reduce;  // what the other rank does differently
};

}  // namespace lockstep::testing
