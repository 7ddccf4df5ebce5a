// Which collectives a CUDA graph holds: noted while it is captured, so that its replays are counted and watched.
#pragma once

#include <cstdint>
#include <vector>

namespace lockstep {

class NcclCommunicator;

// What one replay starts on one communicator, which outlives the graph.
struct CapturedCalls {
  NcclCommunicator* communicator = nullptr;
  std::uint64_t calls = 0;
  std::uint64_t bytes = 0;
};

// While it lives, collectives that are called in a capturing stream are noted. One at a time in a process.
class NcclCapture {
 public:
  NcclCapture();
  ~NcclCapture();
  NcclCapture(const NcclCapture&) = delete;
  NcclCapture& operator=(const NcclCapture&) = delete;

  std::vector<CapturedCalls> calls() const;

  // Any thread (backward has one of its own). Without an NcclCapture, that is in a graph of somebody else's, nothing is
  // noted: such a graph's replays are not watched.
  static void note(NcclCommunicator& communicator, std::uint64_t bytes);
};

}  // namespace lockstep
