// A project of its own that uses the parts without LibTorch: its estimator, and a sum over its ranks.
#include <mpi.h>

#include <cstdio>

#include "lockstep/core/estimator.h"
#include "lockstep/distributed/communicator/make_communicator.h"

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  lockstep::Estimator estimator;
  estimator.process_count_per_node = 2;
  double value = 21;
  {
    const auto communicator = lockstep::make_communicator(MPI_COMM_SELF, {.progress_thread = "off"});
    communicator->all_reduce({&value, 1, lockstep::DataType::float64}, lockstep::ReduceOp::sum).wait();
    std::printf("%s %g\n", std::string(communicator->name()).c_str(), value * estimator.process_count_per_node);
  }
  MPI_Finalize();
}
