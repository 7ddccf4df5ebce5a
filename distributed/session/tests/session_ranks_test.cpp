// Session with MPI that the program has started itself: places, agreement, broadcasts.
#include "lockstep/distributed/communicator/tests/real_nodes.h"
#include "lockstep/distributed/session/session.h"

#include <gtest/gtest.h>

#include <set>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

const SessionOptions kOptions = {.device = "cpu", .threads = 1, .communicator = {}};

TEST(Session, KnowsItsPlace) {
  Session session(kOptions);
  int rank = -1, size = -1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  EXPECT_EQ(session.rank(), rank);
  EXPECT_EQ(session.world_size(), size);
  const bool one_node = testing::on_one_node();  // else tests/nodes: two ranks on each
  EXPECT_EQ(session.local_rank(), one_node ? rank : rank % 2);
  EXPECT_EQ(session.local_size(), one_node ? size : 2);
  EXPECT_EQ(session.node(), one_node ? 0 : rank / 2);
  EXPECT_EQ(session.node_count(), one_node ? 1 : size / 2);
  EXPECT_FALSE(session.host().empty());
  EXPECT_NE(session.mpi_version().find_first_of("0123456789"), std::string::npos) << session.mpi_version();
  EXPECT_EQ(session.mpi_version().find(','), std::string::npos) << session.mpi_version();
}

TEST(Session, LeavesMpiToWhoeverStartedIt) {
  { Session session(kOptions); }
  int finalized = 1;
  MPI_Finalized(&finalized);
  EXPECT_FALSE(finalized);
}

// What `work` throws on the ranks of `failing` comes out on all ranks, and one of them reports it.
void expect_agreed(Session& session, const std::set<int>& failing) {
  int reports = 0;
  try {
    session.agree([&] {
      if (failing.contains(session.rank())) fail(ErrorKind::usage, "a bad file", "mend it");
    });
    ADD_FAILURE() << "no rank noticed";
  } catch (const AgreedFailure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::usage) << "the kind decides the exit code of every rank";
    reports = failure.reports();
    EXPECT_EQ(failure.reports(), session.rank() == *failing.begin());
    EXPECT_TRUE(!failure.reports() || failure.error().what == "a bad file") << failure.error().what;
  }
  MPI_Allreduce(MPI_IN_PLACE, &reports, 1, MPI_INT, MPI_SUM, session.comm());
  EXPECT_EQ(reports, 1);
}

TEST(Session, RanksAgreeOnFailures) {
  Session session(kOptions);
  std::set<int> all;
  for (int rank = 0; rank < session.world_size(); ++rank) all.insert(rank);
  expect_agreed(session, all);
  expect_agreed(session, {session.world_size() - 1});
  EXPECT_EQ(session.agree([&] { return session.rank() * 2; }), session.rank() * 2);
}

TEST(Session, BroadcastsTexts) {
  Session session(kOptions);
  std::string text = session.rank() == 0 ? std::string("with a \0 in it", 13) : "something else, and longer";
  session.broadcast_text(text);
  EXPECT_EQ(text, std::string("with a \0 in it", 13));
  text = session.local_rank() == 0 ? "" : "x";
  session.broadcast_text_in_node(text);
  EXPECT_EQ(text, "");
}

TEST(Session, RefusesAnotherNumberOfRanks) {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  setenv("LOCKSTEP_EXPECTED_WORLD_SIZE", std::to_string(size + 1).c_str(), 1);
  try {
    Session session(kOptions);
    ADD_FAILURE() << "was accepted";
  } catch (const AgreedFailure& failure) {
    EXPECT_EQ(failure.error().what, "world size is " + std::to_string(size) + ", expected " + std::to_string(size + 1));
    EXPECT_FALSE(failure.error().hint.empty());
  }
  unsetenv("LOCKSTEP_EXPECTED_WORLD_SIZE");
}

}  // namespace
}  // namespace lockstep
