#include "lockstep/launchers/end_cause.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "lockstep/core/machine.h"
#include "lockstep/core/run.h"
#include "lockstep/core/tests/temporary_directory.h"
#include "lockstep/launchers/follow_log.h"
#include "lockstep/launchers/mpi_report.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

TEST(FullDiskHint, OnlyWhereThereIsNoRoom) {
  struct statvfs disk {};
  EXPECT_EQ(full_disk_hint("/run", disk), "");  // /proc and its like: no blocks at all
  disk.f_frsize = 4096;
  disk.f_blocks = disk.f_files = 1000;
  disk.f_bavail = 256;
  disk.f_favail = 1;
  EXPECT_EQ(full_disk_hint("/run", disk), "");
  disk.f_bavail = 255;
  EXPECT_EQ(full_disk_hint("/run", disk), "the disk of /run is full (1044480 bytes are left): make room on it");
  disk.f_bavail = 256;
  disk.f_favail = 0;
  EXPECT_EQ(full_disk_hint("/run", disk), "the disk of /run can take no more files (no inodes are left): remove some");
}

constexpr const char* kRule = "--------------------------------------------------------------------------\n";

TEST(MpiReport, ReadsAnExitCode) {
  const auto report = parse_mpi_report(
      "mpirun detected that one or more processes exited with non-zero status, thus causing\n"
      "the job to be terminated. The first process to do so was:\n\n"
      "  Process name: [[17773,1],11]\n  Exit code:    3\n");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->rank, 11);
  EXPECT_EQ(report->exit_code, 3);
  EXPECT_FALSE(report->signal);
  EXPECT_EQ(report->message, "exited with code 3");
}

TEST(MpiReport, ReadsTheProcessNameOfOpenMpi5) {
  const auto report = parse_mpi_report("   Process name: [prterun-gpu03-4711@1,6]\n   Exit code:    75\n");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->rank, 6);
  EXPECT_EQ(report->exit_code, 75);
}

TEST(MpiReport, ReadsASignal) {
  const auto report =
      parse_mpi_report("mpirun noticed that process rank 1 with PID 0 on node gpu03 exited on signal 9 (Killed).\n");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->rank, 1);
  EXPECT_EQ(report->host, "gpu03");
  EXPECT_EQ(report->signal, 9);
  EXPECT_EQ(report->message, "was ended by signal 9 (Killed)");
}

TEST(MpiReport, ReadsAnAbortBrokenOverLines) {
  const auto report = parse_mpi_report(
      "MPI_ABORT was invoked on rank 2 in communicator MPI_COMM_WORLD\nwith errorcode 5.\n\nNOTE: invoking "
      "MPI_ABORT\n");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->rank, 2);
  EXPECT_EQ(report->exit_code, 5);
}

TEST(MpiReport, ReadsARankThatLeftWithoutFinalize) {
  const auto report = parse_mpi_report(
      "mpirun has exited due to process rank 3 with PID 0 on\nnode vm exiting improperly. There are three reasons\n");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->rank, 3);
  EXPECT_EQ(report->host, "vm");
  EXPECT_EQ(report->message, "left the job without MPI_Finalize");
}

TEST(MpiReport, ReadsAProgramThatCannotBeStarted) {
  const auto report = parse_mpi_report(
      "mpirun was unable to launch the specified application as it could not access\nor execute an executable:\n\n"
      "Executable: /nonexist\nNode: vm\n\nwhile attempting to start process rank 0.\n");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->rank, 0);
  EXPECT_NE(report->message.find("/nonexist"), std::string::npos);
}

TEST(MpiReport, NothingWhereNothingIsSaid) {
  EXPECT_FALSE(parse_mpi_report(""));
  EXPECT_FALSE(parse_mpi_report("step 12 loss 0.4\n"));
  EXPECT_FALSE(parse_mpi_report("process rank x with PID"));
}

// Any bytes, cut anywhere: an answer or none, never a crash.
TEST(MpiReport, SurvivesCutAndOversizedTexts) {
  const std::string text =
      "MPI_ABORT was invoked on rank 1 in communicator MPI_COMM_WORLD with errorcode 5. Process name: [[1,1],1] Exit "
      "code: 3 "
      "process rank 1 with PID 0 on node vm exited on signal 9 Executable: /x Node: vm start process rank 0.";
  for (std::size_t begin = 0; begin < text.size(); ++begin)
    for (std::size_t length : {std::size_t{5}, std::size_t{40}, text.size()})
      (void)parse_mpi_report(text.substr(begin, length));
  EXPECT_FALSE(parse_mpi_report("process rank 1 with PID 0 on node " + std::string(1 << 20, 'x')));
  (void)parse_mpi_report(std::string(1 << 20, '\0') + "MPI_ABORT was invoked on rank" + std::string(1 << 20, ' '));
}

class FindCause : public ::testing::Test {
 protected:
  FindCause() : run_(RunDirectory::create(Workspace::create(directory_.path()).value(), "cause").value()) {
    run_.write_record({{"submitted", 1.0}});
    run_ = RunDirectory::open(run_.path()).value();
    fs::create_directories(run_.attempt_directory(1));
  }

  void write(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::app) << text; }
  void rank_error(int rank, const std::string& kind, const std::string& what, int second) {
    const fs::path path = run_.attempt_directory(1) / ("error_" + std::to_string(rank) + ".json");
    write(path,
          nlohmann::json{
              {"rank", rank}, {"host", "node07"}, {"kind", kind}, {"what", what}, {"where", ""}, {"hint", "do this"}}
              .dump());
    set_time(path, second);
  }
  void rank_exit(int rank, int code, int signal, int second) {
    const fs::path path = run_.attempt_directory(1) / ("exit_" + std::to_string(rank) + ".json");
    write(path, nlohmann::json{{"rank", rank}, {"host", "node09"}, {"exit_code", code}, {"signal", signal}}.dump());
    set_time(path, second);
  }
  void set_time(const fs::path& path, int second) {
    const timespec times[2] = {{1700000000 + second, 0}, {1700000000 + second, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }
  void mpi_says(const std::string& text) { write(run_.path() / "logs/70_mpi_log.txt", kRule + text + kRule); }

  TemporaryDirectory directory_;
  RunDirectory run_;
};

TEST_F(FindCause, TheEarliestReportOfARankWins) {
  rank_error(0, "internal", "second", 20);
  rank_error(3, "corrupt_data", "data file train.h5 is truncated", 10);
  write(rank_log_path(run_, 3), "one\ntwo\n");
  mpi_says("MPI_ABORT was invoked on rank 0 in communicator MPI_COMM_WORLD with errorcode 1.\n");
  const EndCause cause = find_cause(run_, 1, {1, 0}, 0, true);
  EXPECT_EQ(cause.rank, 3);
  EXPECT_EQ(cause.host, "node07");
  EXPECT_EQ(cause.reason, "exit_code");
  EXPECT_EQ(cause.message, "rank 3 on node07: data file train.h5 is truncated");
  EXPECT_EQ(cause.hint, "do this");
  EXPECT_EQ(cause.last_lines, (std::vector<std::string>{"one", "two"}));
}

TEST_F(FindCause, TheKeepersOfTheRanksKnowItWhenMpirunIsSilent) {
  rank_exit(0, 128 + 15, 15, 20);
  rank_exit(3, 41, 0, 10);
  write(rank_log_path(run_, 3), "no such option\n");
  mpi_says("Primary job  terminated normally, but 1 process returned\na non-zero exit code.\n");
  const EndCause cause = find_cause(run_, 1, {41, 0}, 0, true);
  EXPECT_EQ(cause.rank, 3);
  EXPECT_EQ(cause.host, "node09");
  EXPECT_EQ(cause.exit_code, 41);
  EXPECT_EQ(cause.message, "rank 3 on node09 exited with code 41");
  EXPECT_EQ(cause.last_lines, std::vector<std::string>{"no such option"});
}

TEST_F(FindCause, MpirunKnowsMoreThanARankThatLostItsPeer) {
  rank_error(0, "peer_lost", "rank 1 no longer answers", 10);
  mpi_says("mpirun noticed that process rank 1 with PID 0 on node gpu03 exited on signal 9 (Killed).\n");
  const EndCause cause = find_cause(run_, 1, {137, 0}, 0, true);
  EXPECT_EQ(cause.rank, 1);
  EXPECT_EQ(cause.host, "gpu03");
  EXPECT_EQ(cause.reason, "signal");
  EXPECT_EQ(cause.signal, 9);
}

TEST_F(FindCause, ALostPeerIsStillSaidWhenNobodyKnowsMore) {
  rank_error(2, "peer_lost", "rank 1 no longer answers", 10);
  rank_error(0, "peer_lost", "rank 1 is silent", 5);
  const EndCause cause = find_cause(run_, 1, {1, 0}, 0, true);
  EXPECT_EQ(cause.rank, 0);
  EXPECT_NE(cause.message.find("rank 1 is silent"), std::string::npos);
}

TEST_F(FindCause, AnEarlierAttemptsMessagesDoNotCount) {
  mpi_says("Process name: [[1,1],7]\n  Exit code:    9\n");
  const auto offset = fs::file_size(run_.path() / "logs/70_mpi_log.txt");
  mpi_says("Process name: [[1,1],1]\n  Exit code:    4\n");
  const EndCause cause = find_cause(run_, 1, {4, 0}, offset, true);
  EXPECT_EQ(cause.rank, 1);
  EXPECT_EQ(cause.exit_code, 4);
  EXPECT_EQ(cause.host, host_name());
}

TEST_F(FindCause, ALoneProcessIsRankZero) {
  write(rank_log_path(run_, 0), "bad\n");
  const EndCause cause = find_cause(run_, 1, {139, 11}, 0, false);
  EXPECT_EQ(cause.rank, 0);
  EXPECT_EQ(cause.reason, "signal");
  EXPECT_EQ(cause.signal, 11);
  EXPECT_EQ(cause.message, "rank 0 on " + host_name() + " was ended by signal 11 (Segmentation fault)");
}

TEST_F(FindCause, DamagedReportsArePassedOver) {
  write(run_.attempt_directory(1) / "error_0.json", "{\"rank\": 0, \"wh");
  write(run_.attempt_directory(1) / "error_1.json", "[]");
  write(run_.attempt_directory(1) / "error_2.json", "{\"rank\": \"two\"}");
  EXPECT_FALSE(first_rank_error(run_.attempt_directory(1)));
}

TEST(LastLines, OfTheLastAttemptOnly) {
  const TemporaryDirectory directory;
  std::ofstream(directory.path() / "log") << "old\n--- attempt 2, then ---\nolder\n--- attempt 3, now ---\nnew\n";
  EXPECT_EQ(last_lines(directory.path() / "log"), std::vector<std::string>{"new"});
  std::ofstream(directory.path() / "log", std::ios::app) << "--- attempt 4, later ---\n";
  EXPECT_TRUE(last_lines(directory.path() / "log").empty());
}

TEST(LastLines, OfALongLogWithRewrittenProgressLines) {
  const TemporaryDirectory directory;
  const fs::path log = directory.path() / "log";
  {
    std::ofstream file(log);
    for (int i = 0; i < 100000; ++i) file << "line " << i << '\n';
    file << "10 %\r50 %\r99 %\r\nred \033[31m\xFF\tend";
  }
  const auto lines = last_lines(log, 3);
  EXPECT_EQ(lines, (std::vector<std::string>{"line 99999", "99 %", "red ?[31m? end"}));
  EXPECT_EQ(last_lines(log).size(), 20u);
  EXPECT_TRUE(last_lines(directory.path() / "absent").empty());
}

}  // namespace
}  // namespace lockstep
