// Who is missing, when a collective does not end: backends whose collectives MPI runs cannot see it.
#pragma once

#include <mpi.h>

#include <array>
#include <chrono>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/distributed/communicator/mpi_support.h"

namespace lockstep {

// A rank that has waited too long asks all others what they wait for; those that wait, answer. Small messages that
// nobody has to receive, on a communicator of their own, so that nothing can be mixed up. Thread-safe.
class RollCall {
 public:
  // Takes over `comm`, a duplicate.
  explicit RollCall(MpiComm comm) : comm_(std::move(comm)) {}
  ~RollCall();
  RollCall(const RollCall&) = delete;
  RollCall& operator=(const RollCall&) = delete;

  // Answers questions that have come. To be called now and then by a rank that waits. doing: "all_reduce #12 …"
  void answer(std::string_view doing);

  // Asks, and answers others, until all ranks have answered or `limit` is over. "rank 1 does not answer; rank 2 waits
  // in barrier #8"; empty where all others wait in the same call.
  std::string ask(std::string_view doing, std::chrono::milliseconds limit);

  // Never freed: for the time after a failure.
  void abandon();

 private:
  struct Message {
    bool is_question = false;
    std::array<char, 127> doing{};  // ends with 0
  };
  struct Outgoing {
    Message message;
    MPI_Request request = MPI_REQUEST_NULL;
  };
  void send(int rank, bool is_question, std::string_view doing);
  void receive(std::string_view doing);
  void forget_sent();
  std::string missing(std::string_view doing) const;

  std::mutex mutex_;
  MpiComm comm_;
  std::list<Outgoing> sent_;
  std::vector<std::string> heard_;  // by rank, since ask() began; empty: nothing
};

}  // namespace lockstep
