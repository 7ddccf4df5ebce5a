#include "lockstep/distributed/training/rank_waits.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "lockstep/distributed/training/small_sums.h"

namespace lockstep {
namespace {

constexpr double kWorthALine = 0.1;  // of the time
constexpr double kAboveOthers = 3;   // times as late as they

// Whom the others wait for, where nobody has seen who came last: a rank is late by as much as it waits less than they.
void add_lateness(std::span<const double> waited, std::span<double> late) {
  double all = 0;
  for (const double seconds : waited) all += seconds;
  const double others = static_cast<double>(waited.size()) - 1;
  for (std::size_t i = 0; i < waited.size() && others > 0; ++i)
    late[i] = std::max(late[i], (all - waited[i]) / others - waited[i]);
}

}  // namespace

WaitWindow RankWaits::take(Session& session, Communicator& communicator) {
  CommunicatorStatistics now = communicator.statistics();
  const auto ranks = static_cast<std::size_t>(communicator.size());
  // By rank: how late it came, as its node has seen it; how long it waited. One rank of each node speaks for the node.
  std::vector<double> sums(2 * ranks);
  const auto late = std::span(sums).first(ranks), waited = std::span(sums).last(ranks);
  if (session.local_rank() == 0) {
    for (std::size_t i = 0; i < now.of_node.size(); ++i) {
      const double before = i < last_.of_node.size() ? last_.of_node[i].late_seconds : 0;
      late[static_cast<std::size_t>(now.of_node[i].rank)] = now.of_node[i].late_seconds - before;
    }
  }
  waited[static_cast<std::size_t>(communicator.rank())] = now.waited_seconds - last_.waited_seconds;
  const std::uint64_t bytes = now.bytes - last_.bytes;
  const bool all_seen = now.of_node.size() == ranks;
  last_ = std::move(now);
  sum_over_ranks(communicator, session.device(), sums);
  if (!all_seen) add_lateness(waited, late);
  WaitWindow window{.waited_seconds = std::accumulate(waited.begin(), waited.end(), 0.0) / static_cast<double>(ranks),
                    .bytes = bytes};
  const auto latest = std::max_element(late.begin(), late.end());
  if (*latest > 0) {
    window.straggler = static_cast<int>(latest - late.begin());
    window.straggler_seconds = *latest;
    for (const double seconds : late) window.others_seconds += std::max(seconds, 0.0);
    window.others_seconds =
        (window.others_seconds - *latest) / static_cast<double>(std::max<std::size_t>(ranks - 1, 1));
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
