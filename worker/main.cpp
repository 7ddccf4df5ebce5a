// lockstep-train: trains a model of the registry on a data set, on as many ranks as the launcher starts.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>
#include <vector>

#include "lockstep/distributed/session/expected_world.h"
#include "lockstep/distributed/session/run_main.h"
#include "lockstep/distributed/training/train_config.h"
#include "train.h"

namespace {

constexpr const char* kProgram = "lockstep-train";

bool has(const std::vector<std::string>& words, const char* word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Printed once, also under an MPI launcher. Returns the exit code: a full disk is an error, a reader that has left is
// not.
int print(const std::string& text) {
  if (!lockstep::speaks_before_mpi()) return 0;
  errno = 0;
  if ((std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0) || errno == EPIPE) return 0;
  const std::string why = std::generic_category().message(errno);
  std::fprintf(stderr, "%s: the output cannot be written: %s\n", kProgram, why.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (has(words, "--help") || has(words, "-h")) return print(lockstep::train_help());
  if (has(words, "--version")) return print(std::string(kProgram) + " " + LOCKSTEP_VERSION + "\n");

  const auto config = lockstep::parse_train_config(words);
  if (!config) return lockstep::report_before_session(kProgram, config.error());
  return lockstep::run_main(kProgram, lockstep::session_options(*config),
                            [&](lockstep::Session& session) { lockstep::train(session, *config); });
}
