// One session for all tests of a program; its end is collective and comes before the program's MPI_Finalize.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "lockstep/distributed/session/session.h"

namespace lockstep::testing {

inline std::unique_ptr<Session> shared_session;

struct SharedSession : ::testing::Environment {
  void SetUp() override {
    const SessionOptions options{.device = "cpu", .threads = 1, .communicator = {}};
    shared_session = std::make_unique<Session>(options);
  }
  void TearDown() override { shared_session.reset(); }
};

inline const ::testing::Environment* const shared_session_registered =
    ::testing::AddGlobalTestEnvironment(new SharedSession);

inline Session& session() { return *shared_session; }

}  // namespace lockstep::testing
