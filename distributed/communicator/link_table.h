// What a collective costs here: a few measured sizes, and alpha and beta as plain values for planning. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

struct LinkPoint {
  std::int64_t bytes = 0;
  double seconds = 0;  // of one all_reduce, the slowest rank's, median of some
};

// One backend among the ranks of one communicator. alpha + beta * bytes is the cost as formulas want it; a straight
// line does not know of caches, so seconds() goes from point to point.
struct Link {
  std::string backend;
  std::vector<LinkPoint> points = {};  // by size
  double alpha = 0;                    // seconds
  double beta = 0;                     // seconds per byte

  // Between two points by a straight line, beyond them by the nearest two; with fewer than two alpha + beta * bytes.
  double seconds(std::int64_t bytes) const;
};

// alpha and beta, neither below 0, that fit the points with the least relative error: a microsecond counts as much for
// a small collective as a millisecond for a large one. No points: both 0.
Link fit_link(std::string backend, std::vector<LinkPoint> points);

struct LinkTable {
  std::vector<Link> links = {};

  const Link* find(std::string_view backend) const;  // null: not measured
};

// Backend and reason, for a run's log.
struct CommunicatorChoice {
  std::string backend;
  std::string why;       // "for 1024 KB hierarchical takes 0.31 ms, mpi 0.92 ms (cached)"
  LinkTable links = {};  // what is known of the links; empty where nothing had to be measured
  std::string key = {};  // under which more of them can be kept (link_cache.h)
};

// Both hierarchical and mpi have two sizes in common at least.
bool can_choose(const LinkTable& links);

// hierarchical or mpi, by the largest size that both have. hierarchical adds in an order that depends on the placement
// alone, so mpi must be clearly faster (1.3 times). source: "measured", "cached"; goes into the reason.
CommunicatorChoice choose_by_links(const LinkTable& links, std::string_view source);

// As the cache keeps it. parse: an empty table for any other text.
std::string to_text(const LinkTable& links);
LinkTable parse_links(std::string_view text);

}  // namespace lockstep
