// A program that has MPI to itself, in the poorest way that allows calls at all, and lets some ranks train. One of them
// fails; the program goes on, ends MPI in order and says 0.
//   mpirun -n RANKS embedding_host BACKEND
#include <ATen/ops/ones.h>
#include <mpi.h>
#include <torch/nn/modules/linear.h>

#include <cstdio>
#include <stdexcept>
#include <string>

#include "lockstep/core/error.h"
#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/optimizer/fused_sgd.h"
#include "lockstep/distributed/session/session.h"

namespace {

lockstep::SessionOptions options(const std::string& backend) {
  lockstep::SessionOptions chosen;
  chosen.device = "cpu";
  chosen.communicator.backend = backend;
  chosen.communicator.timeout_seconds = 60;
  return chosen;
}

// 100 steps; the session's rank 1, if it fails, throws in the middle of one that the others are in.
void train(lockstep::Session& session, bool one_fails) {
  torch::nn::Linear net(3, 2);
  lockstep::DataParallel model(*net, session.communicator());
  lockstep::FusedSgd optimizer(model, {.learning_rate = 0.01});
  for (int step = 0; step < 100; ++step) {
    model.zero_grad();
    const at::Tensor loss = net->forward(at::ones({5, 3})).sum();
    if (one_fails && session.rank() == 1 && step == 50) throw std::runtime_error("the disk is full");
    loss.backward();
    optimizer.step();
  }
}

// What a training in `comm` ended with; "" when all went well.
std::string outcome(MPI_Comm comm, const std::string& backend, bool one_fails) {
  try {
    lockstep::Session session(comm, options(backend));
    session.guard([&] { train(session, one_fails); });
    return "";
  } catch (const lockstep::Failure& failure) {
    return std::string(lockstep::error_kind_name(failure.error().kind)) + ": " + failure.error().what;
  } catch (const std::exception& error) {
    return error.what();
  }
}

bool expect(bool right, int rank, const std::string& what) {
  if (!right) std::fprintf(stderr, "rank %d: not as expected: %s\n", rank, what.c_str());
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string backend = argc > 1 ? argv[1] : "auto";
  const std::string too_early = outcome(MPI_COMM_WORLD, "auto", false);
  int level = MPI_THREAD_SINGLE, rank = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  bool right = expect(too_early == "usage: a session was to be made before MPI_Init", rank, too_early);
  const std::string alone = outcome(MPI_COMM_SELF, "auto", false);
  right &= expect(alone.empty(), rank, alone);
  const std::string failed = outcome(MPI_COMM_WORLD, backend, true);
  right &= expect(rank == 1 ? failed == "the disk is full"
                            : failed.find("peer_lost: rank 1 on ") == 0 && failed.ends_with("the disk is full"),
                  rank, failed);
  const std::string again = outcome(MPI_COMM_WORLD, backend, false);
  right &= expect(again.empty(), rank, again);
  int all_right = right;
  MPI_Allreduce(MPI_IN_PLACE, &all_right, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  MPI_Finalize();
  const std::string too_late = outcome(MPI_COMM_WORLD, "auto", false);
  right = expect(too_late == "usage: a session was to be made after MPI_Finalize", rank, too_late);
  return all_right && right ? 0 : 1;
}
