// Which rank lives on which node.
#pragma once

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace lockstep {

// Ranks are those of the communicator, local ranks count on a node. Equal on all ranks, but for `rank` and `node`.
struct NodeLayout {
  int rank = 0;
  int node = 0;  // of this rank
  std::vector<std::vector<int>> nodes =
      {};  // the ranks of each node, by local rank; nodes in the order of their first rank

  static NodeLayout one_node(int rank, int size) {
    std::vector<int> ranks(static_cast<std::size_t>(size));
    std::iota(ranks.begin(), ranks.end(), 0);
    return {rank, 0, {std::move(ranks)}};
  }

  int node_count() const { return static_cast<int>(nodes.size()); }
  bool several() const { return nodes.size() > 1; }
  const std::vector<int>& own_node() const { return nodes[static_cast<std::size_t>(node)]; }
  int rank_at(int of_node, int local_rank) const {
    return nodes[static_cast<std::size_t>(of_node)][static_cast<std::size_t>(local_rank)];
  }
  int smallest() const {  // ranks on the node with the fewest
    return static_cast<int>(std::min_element(nodes.begin(), nodes.end(), fewer)->size());
  }
  int largest() const { return static_cast<int>(std::max_element(nodes.begin(), nodes.end(), fewer)->size()); }
  bool equal() const { return smallest() == largest(); }
  int size() const {
    return std::accumulate(nodes.begin(), nodes.end(), 0,
                           [](int sum, const auto& ranks) { return sum + static_cast<int>(ranks.size()); });
  }

 private:
  static bool fewer(const std::vector<int>& a, const std::vector<int>& b) { return a.size() < b.size(); }
};

}  // namespace lockstep
