#include "lockstep/distributed/session/run_main.h"

#include <chrono>
#include <cstdio>
#include <exception>
#include <future>
#include <memory>
#include <system_error>
#include <thread>

#include "lockstep/distributed/session/expected_world.h"
#include "lockstep/distributed/session/process_settings.h"

namespace lockstep {
namespace {

constexpr std::chrono::seconds kTellingLimit(2);

void print(const std::string& text) {
  std::fflush(stdout);  // what came before the error stands before it in a log of both streams
  std::fprintf(stderr, "%s\n", text.c_str());
}

// LibTorch appends a C++ stack to what() after the first line; people need the sentence.
Error describe(const std::exception& e) {
  Error error = to_error(e);
  if (dynamic_cast<const Failure*>(&e) == nullptr)
    error.what = error.what.substr(0, error.what.find("\nException raised from"));
  return error;
}

// The run itself may be what is wrong: then the sentence on stderr is all that can be done.
void tell_the_run(int rank, const Error& error) noexcept try {
  Run::get_context().report_error(rank, error);
} catch (const std::exception&) {
}

// People by a sentence on stderr, the supervisor by a file on its disk. In a thread of its own, because a terminal or a
// disk may hang, and the end of all ranks must not wait for it: after two seconds it is given up. True when it was
// done.
bool tell(const std::string& program, int rank, const Error& error) {
  const auto work = [text = program + ": " + error.message(), rank, error] {
    print(text);
    tell_the_run(rank, error);
  };
  try {
    auto done = std::make_shared<std::promise<void>>();
    const auto told = done->get_future();
    std::thread([work, done] {
      work();
      done->set_value();
    }).detach();
    return told.wait_for(kTellingLimit) == std::future_status::ready;
  } catch (const std::system_error&) {  // no thread to be had
    work();
    return true;
  }
}

// No destructor may wait for other ranks, and no flush for a stream that another thread hangs in.
[[noreturn]] void leave_at_once(int code, bool told) {
  if (told) std::fflush(nullptr);
  std::_Exit(code);
}

[[noreturn]] void abort_all_ranks(const std::string& program, Session& session, Error error) {
  const std::string rank = "rank " + std::to_string(session.rank()) + " on " + session.host();
  error.where = error.where.empty() ? rank : rank + ", " + error.where;
  const bool told = tell(program, session.rank(), error);
  const int code = exit_code(error.kind);
  if (session.world_size() > 1) {
    // The rank that was lost may be about to tell why, and will then end all of them itself.
    if (error.kind == ErrorKind::peer_lost) std::this_thread::sleep_for(kTellingLimit + std::chrono::seconds(1));
    MPI_Abort(session.comm(), code);
  }
  leave_at_once(code, told);  // alone, or past an MPI_Abort that returned
}

int leave_in_order(const std::string& program, int rank, const AgreedFailure& failure) {
  if (failure.reports()) tell(program, rank, failure.error());
  return exit_code(failure.error().kind);
}

int launched_rank() { return launched_as().value_or(RankEnvironment{}).rank; }

// Out of the making of a Session, on this rank alone: the others may wait for it in MPI.
[[noreturn]] void leave_without_session(const std::string& program, const Error& error) {
  const bool told = tell(program, launched_rank(), error);
  const int code = exit_code(error.kind);
  int initialized = 0, finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  if (initialized && !finalized) MPI_Abort(MPI_COMM_WORLD, code);
  leave_at_once(code, told);
}

int run_in(const std::string& program, Session& session, const std::function<void(Session&)>& body) {
  try {
    body(session);
    return 0;
  } catch (const AgreedFailure& failure) {
    return leave_in_order(program, session.rank(), failure);
  } catch (const std::exception& e) {
    abort_all_ranks(program, session, describe(e));
  } catch (...) {
    abort_all_ranks(program, session, Error{ErrorKind::internal, "an exception of unknown type", {}, {}});
  }
}

}  // namespace

int run_main(const std::string& program, const SessionOptions& options, const std::function<void(Session&)>& body) {
  tune_allocator();
  tune_standard_streams();
  try {
    Session session(options);
    return run_in(program, session, body);
  } catch (const AgreedFailure& failure) {  // out of the Session's making; MPI has ended
    return leave_in_order(program, launched_rank(), failure);
  } catch (const std::exception& e) {  // the same, on this rank alone
    leave_without_session(program, describe(e));
  }
}

int report_before_session(const std::string& program, const Error& error) {
  const bool with_mpi = started_by_mpi(launched_as());
  int rank = 0;  // of processes that MPI does not know as ranks each speaks
  if (with_mpi) {
    MPI_Init(nullptr, nullptr);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  }
  if (rank == 0) tell(program, launched_rank(), error);
  if (with_mpi) {
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
  }
  return exit_code(error.kind);
}

}  // namespace lockstep
