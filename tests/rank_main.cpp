// main() of every rank test: GoogleTest under MPI. All ranks run all tests and agree on the verdict.
#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

namespace {

// Rank 0 keeps GoogleTest's own output; the other ranks print their failures alone.
class FailurePrinter : public testing::EmptyTestEventListener {
 public:
  explicit FailurePrinter(int rank) : rank_(rank) {}

  // Noted here: GoogleTest holds a lock during OnTestPartResult that current_test_info() waits for.
  void OnTestStart(const testing::TestInfo& test) override {
    test_ = std::string(test.test_suite_name()) + "." + test.name();
  }

  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "rank %d: %s: %s:%d: %s\n", rank_, test_.c_str(),
                 result.file_name() == nullptr ? "?" : result.file_name(), result.line_number(), result.message());
    std::fflush(stderr);
  }

 private:
  int rank_;
  std::string test_;
};

// An exception that leaves a test leaves the peers in a collective as well: it must end all ranks, not only this test.
int run_tests(int rank) {
  try {
    return RUN_ALL_TESTS();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "rank %d: uncaught exception: %s\n", rank, e.what());
  } catch (...) {
    std::fprintf(stderr, "rank %d: uncaught exception of an unknown type\n", rank);
  }
  std::fflush(nullptr);
  return MPI_Abort(MPI_COMM_WORLD, 1);
}

}  // namespace

int main(int argc, char** argv) {
  int provided = MPI_THREAD_SINGLE;
  // For the tests that must hold with an MPI that offers less.
  const char* const level = std::getenv("LOCKSTEP_TEST_THREAD_LEVEL");
  const bool serialized = level != nullptr && std::string(level) == "serialized";
  MPI_Init_thread(&argc, &argv, serialized ? MPI_THREAD_SERIALIZED : MPI_THREAD_MULTIPLE, &provided);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  testing::InitGoogleTest(&argc, argv);
  GTEST_FLAG_SET(catch_exceptions, false);
  if (rank != 0) {
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailurePrinter(rank));
  }
  const int failed_here = run_tests(rank);
  int failed = failed_here;
  MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  if (rank == 0 && failed != failed_here) std::fprintf(stderr, "rank 0 passed, but a test failed on another rank\n");
  MPI_Finalize();
  return rank == 0 ? failed : 0;  // the common verdict, reported once
}
