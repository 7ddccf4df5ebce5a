// The frame of a training program: one try, one place where a rank dies.
#pragma once

#include <functional>
#include <string>

#include "lockstep/distributed/session/session.h"

namespace lockstep {

// Makes the process's settings (process_settings.h) and a Session, calls `body` and returns the program's exit code.
// An exception out of `body` is printed on stderr as "PROGRAM: rank 1 on HOST: …" and left for the supervisor
// (Run::report_error), within two seconds or not at all; then MPI_Abort ends all ranks, because the others may wait for
// this one for ever. A rank that only lost a peer leaves that one three seconds to do so itself. An
// AgreedFailure is printed by its reporter alone and every rank returns the exit code in order. So it is with what is
// wrong before `body`: the run's directory, the number of ranks.
//
//   int main() {
//     return lockstep::run_main("my-training", {}, [](lockstep::Session& session) { … });
//   }
int run_main(const std::string& program, const SessionOptions& options, const std::function<void(Session&)>& body);

// For errors that every rank finds alike before there is a Session (a mistyped option): rank 0 prints "PROGRAM: …" on
// stderr, every rank returns the exit code. Without an MPI launcher every process prints: none of them knows of the
// others. Starts MPI where a launcher has started several ranks, because mpirun ends
// all others when the first one leaves with an error, which may be before rank 0 has spoken.
int report_before_session(const std::string& program, const Error& error);

}  // namespace lockstep
