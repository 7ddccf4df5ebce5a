// The CUDA library loads, or says in a sentence what it lacks; NCCL works where there are GPUs, and says so where there
// are none.
#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdio>
#include <filesystem>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/make_communicator.h"
#include "lockstep/distributed/communicator/nccl_module.h"

namespace lockstep {
namespace {

TEST(CudaModule, LoadsOrSaysWhatItLacks) {
  const auto path = load_cuda_module();
  if (path) {
    EXPECT_EQ(std::filesystem::path(*path).filename(), "liblockstep_cuda.so");
    EXPECT_EQ(*load_cuda_module(), *path);
    return;
  }
  EXPECT_EQ(path.error().kind, ErrorKind::environment);
  EXPECT_EQ(path.error().what.find("the CUDA library ") == 0 || path.error().what == "this build has no CUDA library",
            true)
      << path.error().what;
  EXPECT_FALSE(path.error().hint.empty());
  std::printf("not tested further: %s\n", path.error().message().c_str());
}

TEST(Nccl, ReducesOnGpusOrNamesWhatIsMissing) {
  try {
    const auto communicator = make_communicator(MPI_COMM_WORLD, {.cuda = true, .timeout_seconds = 60});
    EXPECT_EQ(communicator->name(), "nccl");
    const auto memory = communicator->allocate(4000);
    communicator->all_reduce({memory->data(), 1000}, ReduceOp::average).wait();
    communicator->barrier();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::environment);
    const std::string& what = failure.error().what;
    const bool known = what.find("CUDA library") != std::string::npos || what.find("no GPU can be used here: ") == 0 ||
                       what.find(" use one GPU: ") != std::string::npos;
    EXPECT_TRUE(known) << what;
    EXPECT_FALSE(failure.error().hint.empty());
    std::printf("not tested further: %s\n", failure.what());
  }
}

}  // namespace
}  // namespace lockstep
