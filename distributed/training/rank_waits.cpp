#include "lockstep/distributed/training/rank_waits.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "lockstep/distributed/training/small_sums.h"

namespace lockstep {
namespace {

constexpr double kWorthALine = 0.1;  // of the time
constexpr double kAboveOthers = 3;   // times as late as they

}  // namespace

WaitWindow RankWaits::take(Session& session, Communicator& communicator) {
  CommunicatorStatistics now = communicator.statistics();
  const auto ranks = static_cast<std::size_t>(communicator.size());
  // By rank: how late it came. Then the sum of all ranks' waiting. One rank of each node speaks for the node.
  std::vector<double> sums(ranks + 1);
  if (session.local_rank() == 0) {
    for (std::size_t i = 0; i < now.of_node.size(); ++i) {
      const double before = i < last_.of_node.size() ? last_.of_node[i].late_seconds : 0;
      sums[static_cast<std::size_t>(now.of_node[i].rank)] = now.of_node[i].late_seconds - before;
    }
  }
  sums[ranks] = now.waited_seconds - last_.waited_seconds;
  const std::uint64_t bytes = now.bytes - last_.bytes;
  last_ = std::move(now);
  sum_over_ranks(communicator, session.device(), sums);
  WaitWindow window{.waited_seconds = sums[ranks] / static_cast<double>(ranks), .bytes = bytes};
  const auto latest = std::max_element(sums.begin(), sums.end() - 1);
  if (*latest > 0) {
    window.straggler = static_cast<int>(latest - sums.begin());
    window.straggler_seconds = *latest;
    for (std::size_t i = 0; i < ranks; ++i) window.others_seconds += sums[i];
    window.others_seconds = (window.others_seconds - *latest) / static_cast<double>(std::max<std::size_t>(ranks - 1, 1));
  }
  return window;
}

std::string straggler_line(const WaitWindow& window, double seconds) {
  if (window.straggler < 0 || window.straggler_seconds < kWorthALine * seconds) return {};
  if (window.straggler_seconds < kAboveOthers * window.others_seconds) return {};
  const auto percent = std::min(100L, std::lround(100 * window.straggler_seconds / seconds));
  return "rank " + std::to_string(window.straggler) + " kept the others waiting for " + std::to_string(percent) +
         " % of the time";
}

}  // namespace lockstep
