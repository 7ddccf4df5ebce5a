// Who waited for whom: the communicators' own counts of all ranks, window by window.
#pragma once

#include <cstdint>
#include <string>

#include "lockstep/distributed/communicator/communicator.h"
#include "lockstep/distributed/session/session.h"

namespace lockstep {

struct WaitWindow {
  double waited_seconds = 0;     // in collectives, the mean over the ranks
  std::uint64_t bytes = 0;       // that this rank handed to collectives
  int straggler = -1;            // the rank for which the others have waited longest; -1: not known
  double straggler_seconds = 0;  // how long, in all
  double others_seconds = 0;     // how long they have waited for each of the other ranks, on average
};

class RankWaits {
 public:
  // Collective. What has come since the last call, or since the beginning; equal on all ranks but for bytes.
  WaitWindow take(Session& session, Communicator& communicator);

 private:
  CommunicatorStatistics last_;
};

// "rank 3 kept the others waiting for 12 % of the time", or "" when it is less than a tenth of `seconds`, or others
// come late about as often.
std::string straggler_line(const WaitWindow& window, double seconds);

}  // namespace lockstep
