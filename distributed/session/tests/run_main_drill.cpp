// A training program whose file system can hang: fsync sleeps for a minute where LOCKSTEP_DRILL_SLOW_DISK is set.
//   run_main_drill fails   rank 1 throws while the others wait for it
//   run_main_drill lost    rank 0 throws because it lost a peer; rank 1 throws the cause a moment later
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "lockstep/core/error.h"
#include "lockstep/distributed/session/run_main.h"

// Instead of the C library's: the program's own definition is found first.
extern "C" int fsync(int) {
  if (std::getenv("LOCKSTEP_DRILL_SLOW_DISK") != nullptr) std::this_thread::sleep_for(std::chrono::minutes(1));
  return 0;
}

namespace lockstep {
namespace {

void one_rank_fails(Session& session) {
  session.communicator().barrier();
  if (session.rank() == 1) fail(ErrorKind::environment, "the disk is full");
  session.communicator().barrier();
}

void a_peer_is_lost_first(Session& session) {
  session.communicator().barrier();
  if (session.rank() == 0) fail(ErrorKind::peer_lost, "rank 1 has not arrived");
  std::this_thread::sleep_for(std::chrono::seconds(1));
  fail(ErrorKind::environment, "the disk is full");
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  const bool lost = argc > 1 && std::string(argv[1]) == "lost";
  lockstep::SessionOptions options;
  options.device = "cpu";
  return lockstep::run_main("drill", options, lost ? lockstep::a_peer_is_lost_first : lockstep::one_rank_fails);
}
