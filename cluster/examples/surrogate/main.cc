// A solver on one half of the ranks, and on the other half a network that learns its answers while it works.
//   mpirun -n 4 ./surrogate [SIMULATIONS]
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <random>
#include <vector>

#include "mailbox.h"
#include "solver.h"
#include "training.h"

namespace {

constexpr int kTests = 40, kLastSteps = 3000;

void run_solver(MPI_Comm solvers, const std::vector<int>& trainers, int simulations) {
  int rank = 0;
  MPI_Comm_rank(solvers, &rank);
  Outbox outbox(MPI_COMM_WORLD, trainers);
  std::mt19937_64 random(7);  // the same weather on every rank
  const double begin = MPI_Wtime();
  for (int i = 0; i < simulations; ++i) {
    const Sample sample = solve(random_weather(random), solvers);
    if (rank == 0) outbox.post_training(sample);
  }
  const double seconds = MPI_Wtime() - begin;
  std::vector<Sample> tests;
  for (int i = 0; i < kTests; ++i) tests.push_back(solve(random_weather(random), solvers));
  if (rank != 0) return;
  std::printf("solver: %d simulations in %.2f s, of which %.3f s with sending; %d samples sent, %d dropped\n",
              simulations, seconds, outbox.seconds(), outbox.sent(), outbox.dropped());
  std::fflush(stdout);
  for (const Sample& test : tests) outbox.send_test(test);
  outbox.end();
}

// A training that fails must not hold up the solver: what still comes is taken and thrown away.
int run_trainer(MPI_Comm trainers, int rank) {
  Inbox inbox(MPI_COMM_WORLD);
  try {
    const Verdict verdict = train(trainers, inbox, kLastSteps);
    if (rank == 0)
      std::printf(
          "surrogate: %d steps while the solver worked, %d afterwards; error %.2f %% on %d simulations it has not "
          "seen (their mean as a guess: %.0f %%)\n",
          verdict.steps_meanwhile, verdict.steps - verdict.steps_meanwhile, 100 * verdict.error, kTests,
          100 * verdict.guess);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "trainer %d: %s\n", rank, error.what());
    while (!inbox.ended()) inbox.look();
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  // The trainers' progress thread may call MPI beside the loop that looks at the inbox.
  int level = 0, rank = 0, ranks = 1, code = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const int solvers = ranks / 2;
  if (ranks < 2 || kCoarse % solvers != 0) {
    if (rank == 0)
      std::fprintf(stderr,
                   "start it on 2, 3, 4, 5, 8, 9, 16 or 17 ranks: a half of them solves on bands of equal size\n");
    MPI_Finalize();
    return 2;
  }
  const bool solves = rank < solvers;
  MPI_Comm half = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, solves ? 0 : 1, rank, &half);
  std::vector<int> trainers;
  for (int r = solvers; r < ranks; ++r) trainers.push_back(r);
  if (solves)
    run_solver(half, trainers, argc > 1 ? std::atoi(argv[1]) : 1000);
  else
    code = run_trainer(half, rank - solvers);
  MPI_Comm_free(&half);
  MPI_Finalize();
  return code;
}
