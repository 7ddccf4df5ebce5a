// Where one bucket should end and the next begin, by a model of what communication costs: pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "lockstep/distributed/communicator/link_table.h"

namespace lockstep {

// A gradient that backward completes, in the order in which it does.
struct ReadyGradient {
  std::int64_t bytes = 0;
  double seconds = 0;  // since backward began; counts only where communication overlaps with it
};

struct CommunicationModel {
  Link cost = {};         // of one all_reduce, by its bytes
  bool overlaps = false;  // a thread or a GPU communicates while backward goes on; else the ranks do it themselves
  std::int64_t limit_bytes = std::int64_t{25} << 20;  // of a bucket; a larger gradient has one of its own
};

// When the last bucket has arrived, in seconds. Buckets follow each other. Overlapping: none begins before its last
// gradient is ready, and 0 is the beginning of backward. Else 0 is its end, as the time goes to communication whenever
// it comes: what counts is the sum of the costs. ends: per bucket one past its last gradient, rising, the last one
// gradients.size().
double modelled_end(const std::vector<ReadyGradient>& gradients, const CommunicationModel& model,
                    const std::vector<int>& ends);

// The ends of the fewest buckets with which communication ends at most 2 % of its own length later than it could with
// any: what a measurement cannot tell apart is not worth a bucket. Exact, by dynamic programming over prefixes: the
// earliest end of the first i gradients in k buckets needs only the earliest ends in k - 1. At most n^2 steps per
// bucket. The model is that of MG-WFBP (Shi, Chu, Li 2019, arXiv 1811.11141), with costs of any shape in place of
// alpha + beta * bytes, since caches make small buckets cheaper per byte. No gradients: no ends.
std::vector<int> partition_gradients(const std::vector<ReadyGradient>& gradients, const CommunicationModel& model);

}  // namespace lockstep
