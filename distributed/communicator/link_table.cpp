#include "lockstep/distributed/communicator/link_table.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

namespace lockstep {
namespace {

constexpr int text_format = 1;

std::string milliseconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g ms", 1e3 * seconds);
  return text;
}

}  // namespace

// Least squares of (alpha + beta * bytes) / seconds - 1 over the points.
Link fit_link(std::string backend, std::vector<LinkPoint> points) {
  double aa = 0, ab = 0, bb = 0, a = 0, b = 0;
  for (const LinkPoint& point : points) {
    const double u = 1 / point.seconds, v = static_cast<double>(point.bytes) / point.seconds;
    aa += u * u;
    ab += u * v;
    bb += v * v;
    a += u;
    b += v;
  }
  Link link{.backend = std::move(backend), .points = std::move(points)};
  if (link.points.empty()) return link;
  const double determinant = aa * bb - ab * ab;
  const bool one_size = determinant <= 1e-9 * aa * bb;
  link.alpha = one_size ? a / aa : (a * bb - b * ab) / determinant;
  link.beta = one_size ? 0 : (b * aa - a * ab) / determinant;
  if (link.alpha < 0) link.alpha = 0, link.beta = b / bb;
  if (link.beta < 0) link.alpha = a / aa, link.beta = 0;
  return link;
}

double Link::seconds(std::int64_t bytes) const {
  if (points.size() < 2) return alpha + beta * static_cast<double>(bytes);
  std::size_t upper = 1;
  while (upper + 1 < points.size() && points[upper].bytes < bytes) ++upper;
  const LinkPoint &low = points[upper - 1], &high = points[upper];
  const double slope = (high.seconds - low.seconds) / static_cast<double>(high.bytes - low.bytes);
  const double guess = low.seconds + slope * static_cast<double>(bytes - low.bytes);
  // A noisy slope must not promise less than what the nearest point took per byte.
  if (bytes > points.back().bytes) return std::max(guess, points.back().seconds);
  return bytes < points.front().bytes ? std::clamp(guess, 0.0, points.front().seconds) : guess;
}

const Link* LinkTable::find(std::string_view backend) const {
  const auto it = std::find_if(links.begin(), links.end(), [&](const Link& link) { return link.backend == backend; });
  return it == links.end() ? nullptr : &*it;
}

namespace {

// The largest size that was measured with both; 0 where there are not two.
std::int64_t common_size(const Link& a, const Link& b) {
  const std::size_t common = std::min(a.points.size(), b.points.size());
  return common < 2 ? 0 : a.points[common - 1].bytes;
}

}  // namespace

bool can_choose(const LinkTable& links) {
  const Link* const hierarchical = links.find("hierarchical");
  const Link* const mpi = links.find("mpi");
  return hierarchical != nullptr && mpi != nullptr && common_size(*hierarchical, *mpi) > 0;
}

CommunicatorChoice choose_by_links(const LinkTable& links, std::string_view source) {
  if (!can_choose(links))
    return {"hierarchical", "the ranks are on several nodes; the links could not be measured", links};
  const Link &hierarchical = *links.find("hierarchical"), &mpi = *links.find("mpi");
  const std::int64_t bytes = common_size(hierarchical, mpi);
  const double ours = hierarchical.seconds(bytes), theirs = mpi.seconds(bytes);
  return {theirs * 1.3 < ours ? "mpi" : "hierarchical",
          "for " + std::to_string(bytes >> 10) + " KB hierarchical takes " + milliseconds(ours) + ", mpi " +
              milliseconds(theirs) + " (" + std::string(source) + ")",
          links};
}

std::string to_text(const LinkTable& table) {
  nlohmann::json document = {{"format", text_format}, {"links", nlohmann::json::array()}};
  for (const Link& link : table.links) {
    nlohmann::json points = nlohmann::json::array();
    for (const LinkPoint& point : link.points) points.push_back({{"bytes", point.bytes}, {"seconds", point.seconds}});
    document["links"].push_back(
        {{"backend", link.backend}, {"alpha", link.alpha}, {"beta", link.beta}, {"points", std::move(points)}});
  }
  return document.dump(1) + "\n";
}

LinkTable parse_links(std::string_view text) {
  LinkTable table;
  try {
    const auto document = nlohmann::json::parse(text);
    if (document.at("format") != text_format) return {};
    for (const auto& link : document.at("links")) {
      std::vector<LinkPoint> points;
      for (const auto& point : link.at("points")) {
        points.push_back({point.at("bytes").get<std::int64_t>(), point.at("seconds").get<double>()});
        if (!(points.back().seconds > 0) || points.back().bytes < 0) return {};
        if (points.size() > 1 && points.back().bytes <= points[points.size() - 2].bytes) return {};
      }
      table.links.push_back(fit_link(link.at("backend").get<std::string>(), std::move(points)));
    }
  } catch (const nlohmann::json::exception&) {
    return {};
  }
  return table;
}

}  // namespace lockstep
