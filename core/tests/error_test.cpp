#include "lockstep/core/error.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <stdexcept>

namespace lockstep {
namespace {

TEST(Error, MessageLeavesOutWhatIsEmpty) {
  EXPECT_EQ((Error{ErrorKind::usage, "what", "where:3", "hint"}.message()), "where:3: what\n  hint");
  EXPECT_EQ((Error{ErrorKind::usage, "what", "", "hint"}.message()), "what\n  hint");
  EXPECT_EQ((Error{ErrorKind::usage, "what", "where", ""}.message()), "where: what");
}

TEST(Error, OnlyUsageIsNeverRetried) {
  EXPECT_EQ(exit_code(ErrorKind::usage), 2);
  for (const auto kind : {ErrorKind::environment, ErrorKind::peer_lost, ErrorKind::corrupt_data, ErrorKind::internal}) {
    EXPECT_EQ(exit_code(kind), 1);
  }
}

TEST(Error, KindsHaveNamesThatReadBack) {
  for (const auto kind :
       {ErrorKind::usage, ErrorKind::environment, ErrorKind::peer_lost, ErrorKind::corrupt_data, ErrorKind::internal}) {
    EXPECT_EQ(parse_error_kind(error_kind_name(kind)), kind);
  }
  EXPECT_EQ(error_kind_name(ErrorKind::peer_lost), "peer_lost");
  EXPECT_EQ(parse_error_kind("Usage"), std::nullopt);
}

TEST(Failure, CarriesTheErrorAndErrnosText) {
  try {
    errno = ENOSPC;
    fail_errno("cannot write x", "free some space", "rank 3");
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::environment);
    EXPECT_STREQ(failure.what(), "rank 3: cannot write x: No space left on device\n  free some space");
    EXPECT_EQ(to_error(failure).hint, "free some space");
  }
  EXPECT_EQ(to_error(std::runtime_error("odd")).kind, ErrorKind::internal);
  EXPECT_EQ(to_error(std::runtime_error("odd")).what, "odd");
}

TEST(Result, HoldsAValueOrThrowsItsError) {
  const Result<std::string> good(std::string("seven"));
  ASSERT_TRUE(good);
  EXPECT_EQ(*good, "seven");
  EXPECT_EQ(good->size(), 5u);
  const Result<std::string> bad(Error{ErrorKind::corrupt_data, "torn", {}, {}});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().what, "torn");
  EXPECT_THROW((void)bad.value(), Failure);
  EXPECT_THROW((void)*bad, Failure);
}

}  // namespace
}  // namespace lockstep
