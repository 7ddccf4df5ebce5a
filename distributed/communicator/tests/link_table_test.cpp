// alpha and beta from measured points, the choice between two backends, and the text in the cache.
#include "lockstep/distributed/communicator/link_table.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

Link line(const std::string& backend, double alpha, double beta) {
  std::vector<LinkPoint> points;
  for (const std::int64_t bytes : {4096, 65536, 1048576}) {
    points.push_back({bytes, alpha + beta * static_cast<double>(bytes)});
  }
  return fit_link(backend, points);
}

TEST(LinkTable, FindsAlphaAndBetaOfAStraightLine) {
  const Link link = line("mpi", 20e-6, 1.5e-10);
  EXPECT_NEAR(link.alpha, 20e-6, 1e-12);
  EXPECT_NEAR(link.beta, 1.5e-10, 1e-17);
  EXPECT_NEAR(link.seconds(10'000'000), 20e-6 + 1.5e-3, 1e-9);
}

// The relative error counts: a large call that is 10% off must not swallow what small calls cost.
TEST(LinkTable, SmallCallsCountAsMuchAsLargeOnes) {
  const Link link = fit_link("shm", {{4096, 10e-6}, {65536, 16e-6}, {1048576, 120e-6}, {16777216, 2200e-6}});
  EXPECT_NEAR(link.alpha + link.beta * 4096, 10e-6, 2e-6);
  EXPECT_NEAR(link.alpha + link.beta * 16777216, 2200e-6, 400e-6);
}

// Beyond the caches a byte costs thirty times as much: no straight line says that.
TEST(LinkTable, TimesGoFromPointToPoint) {
  const Link link = fit_link("shm", {{4096, 1e-6}, {1 << 20, 15e-6}, {16 << 20, 8e-3}});
  EXPECT_DOUBLE_EQ(link.seconds(4096), 1e-6);
  EXPECT_DOUBLE_EQ(link.seconds(1 << 20), 15e-6);
  EXPECT_DOUBLE_EQ(link.seconds(16 << 20), 8e-3);
  EXPECT_NEAR(link.seconds((4096 + (1 << 20)) / 2), 8e-6, 1e-9);
  EXPECT_NEAR(link.seconds(31 << 20), 8e-3 + (8e-3 - 15e-6), 1e-9);
  EXPECT_GE(link.seconds(0), 0);
  EXPECT_LE(link.seconds(0), 1e-6);
  const Link falling = fit_link("mpi", {{4096, 50e-6}, {65536, 20e-6}});
  EXPECT_DOUBLE_EQ(falling.seconds(1 << 20), 20e-6);
  EXPECT_DOUBLE_EQ(falling.seconds(0), 50e-6);
}

TEST(LinkTable, NeitherIsNegative) {
  const Link falling = fit_link("mpi", {{4096, 50e-6}, {65536, 20e-6}});
  EXPECT_GT(falling.alpha, 0);
  EXPECT_EQ(falling.beta, 0);
  const Link steep = fit_link("mpi", {{4096, 1e-6}, {65536, 100e-6}});
  EXPECT_EQ(steep.alpha, 0);
  EXPECT_GT(steep.beta, 0);
  const Link one = fit_link("mpi", {{4096, 7e-6}});
  EXPECT_NEAR(one.alpha, 7e-6, 1e-12);
  EXPECT_EQ(one.beta, 0);
  EXPECT_EQ(fit_link("mpi", {}).alpha, 0);
}

TEST(LinkTable, MpiMustBeClearlyFaster) {
  const auto choice = [](double mpi_alpha) {
    return choose_by_links({{line("hierarchical", 100e-6, 1e-10), line("mpi", mpi_alpha, 1e-10)}}, "measured");
  };
  EXPECT_EQ(choice(200e-6).backend, "hierarchical");
  EXPECT_EQ(choice(90e-6).backend, "hierarchical");
  EXPECT_EQ(choice(10e-6).backend, "mpi");
  EXPECT_EQ(choice(10e-6).why, "for 1024 KB hierarchical takes 0.205 ms, mpi 0.115 ms (measured)");
  EXPECT_EQ(choose_by_links({}, "cached").backend, "hierarchical");
}

// What ran out of time on one side must not be compared with what did not on the other.
TEST(LinkTable, OnlyCommonSizesAreCompared) {
  const Link slow = fit_link("hierarchical", {{4096, 1e-3}, {65536, 1e-3}});
  EXPECT_NE(choose_by_links({{slow, line("mpi", 10e-6, 1e-10)}}, "cached").why.find("for 64 KB "), std::string::npos);
  EXPECT_FALSE(can_choose({{fit_link("hierarchical", {{4096, 1e-3}}), line("mpi", 10e-6, 1e-10)}}));
  EXPECT_FALSE(can_choose({{line("mpi", 10e-6, 1e-10)}}));
}

TEST(LinkTable, ComesBackFromItsText) {
  const LinkTable table{{line("hierarchical", 3e-6, 2e-10), line("mpi", 4e-6, 3e-10)}};
  const LinkTable back = parse_links(to_text(table));
  ASSERT_EQ(back.links.size(), 2u);
  ASSERT_NE(back.find("mpi"), nullptr);
  EXPECT_EQ(back.find("mpi")->points.size(), 3u);
  EXPECT_DOUBLE_EQ(back.find("mpi")->alpha, table.links[1].alpha);
  EXPECT_DOUBLE_EQ(back.find("hierarchical")->beta, table.links[0].beta);
  EXPECT_EQ(back.find("shm"), nullptr);
}

TEST(LinkTable, OtherTextIsAnEmptyTable) {
  const std::string good = to_text({{line("mpi", 4e-6, 3e-10)}});
  for (const std::string& text : {std::string(), std::string("{"), std::string("[1]"), good.substr(0, good.size() / 2),
                                  std::string(R"({"format": 2, "links": []})"),
                                  std::string(R"({"format": 1, "links": [{"backend": "mpi", "points": [{"bytes": 4,
                                  "seconds": 0}]}]})")}) {
    EXPECT_TRUE(parse_links(text).links.empty()) << text;
  }
}

}  // namespace
}  // namespace lockstep
