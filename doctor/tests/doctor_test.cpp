// What the doctor makes of what it sees, and the program itself on this machine.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "lockstep/doctor/checks.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class TemporaryFolder {
 public:
  TemporaryFolder() : path_((fs::temp_directory_path() / "doctor_test.XXXXXX").string()) { ::mkdtemp(path_.data()); }
  ~TemporaryFolder() { fs::remove_all(path_); }
  fs::path path() const { return path_; }

 private:
  std::string path_;
};

const Finding* find(const Findings& findings, const std::string& area, Level level) {
  for (const Finding& finding : findings) {
    if (finding.area == area && finding.level == level) return &finding;
  }
  return nullptr;
}

std::string report(int ranks, const std::string& threads = "multiple", const std::string& nccl_problem = "") {
  return nlohmann::json{
      {"ranks", ranks},
      {"mpi", {{"library", "Open MPI v4.1.4"}, {"thread_level", threads}, {"cuda_aware", "no"}}},
      {"nccl",
       {{"version", "NCCL 2.27.3"}, {"problem", nccl_problem}, {"remedy", nccl_problem.empty() ? "" : "install it"}}},
      {"links",
       {{{"backend", "shm"},
         {"alpha", 1.5e-6},
         {"beta", 6e-11},
         {"points", {{{"bytes", 4096}, {"seconds", 2e-6}}, {{"bytes", 16 << 20}, {"seconds", 3.1e-3}}}}}}}}
      .dump();
}

TEST(Finding, PrintsARemedyBelowItsLine) {
  const Findings findings{{Level::ok, "machine", "4 cores", ""}, {Level::error, "MPI", "no mpirun", "install one"}};
  std::ostringstream out;
  print(findings, out, {});
  EXPECT_EQ(out.str(), "ok       machine  4 cores\nerror    MPI      no mpirun\n                  -> install one\n");
  EXPECT_EQ(exit_code(findings), 1);
  EXPECT_EQ(exit_code({{Level::warning, "MPI", "slow", "wait"}}), 0);
  EXPECT_EQ(to_json(findings)[1].dump(), R"({"level":"error","area":"MPI","text":"no mpirun","remedy":"install one"})");
}

TEST(Probe, IsExplained) {
  nlohmann::ordered_json links;
  const Findings findings = explain_probe({{}, report(4), ""}, 4, 60, 0, &links);
  ASSERT_EQ(findings.size(), 3u);
  EXPECT_EQ(findings[0].text, "Open MPI v4.1.4; threads: multiple; CUDA-aware: no");
  EXPECT_EQ(findings[1].text, "none: no GPU");
  EXPECT_EQ(findings[2].text,
            "all_reduce by shm, 4 ranks: alpha 1.5 us, beta 0.06 ns/B (16.7 GB/s); 4 KB 2 us, 16 MB 3.1 ms");
  EXPECT_EQ(exit_code(findings), 0);
  EXPECT_EQ(links.size(), 1u);
}

TEST(Probe, SaysWhatIsWrong) {
  const auto only = [](const Captured& end, int gpus = 0) { return explain_probe(end, 4, 60, gpus, nullptr); };
  const Findings alone = only({{}, report(1), ""});
  ASSERT_EQ(alone.size(), 1u);
  EXPECT_EQ(alone[0].level, Level::error);
  EXPECT_NE(alone[0].text.find("4 processes were started, but each finds itself among 1"), std::string::npos);

  const Findings failed = only({{.code = 213}, "", "-----------\nThere are not enough slots\n"});
  EXPECT_EQ(failed[0].level, Level::error);
  EXPECT_EQ(failed[0].text, "mpirun -n 4 ends with 213: There are not enough slots");
  EXPECT_EQ(only({{}, "no JSON", ""})[0].level, Level::error);
  EXPECT_NE(only({{.code = 137, .signal = 9}, "", ""})[0].text.find("did not end within 60 s"), std::string::npos);

  const Findings threads = only({{}, report(4, "serialized"), ""});
  ASSERT_NE(find(threads, "MPI", Level::warning), nullptr);
  EXPECT_FALSE(find(threads, "MPI", Level::warning)->remedy.empty());

  const Findings nccl = only({{}, report(4, "multiple", "the CUDA library is missing"), ""}, 8);
  ASSERT_NE(find(nccl, "NCCL", Level::warning), nullptr);
  EXPECT_EQ(find(nccl, "NCCL", Level::warning)->text, "8 GPUs, but the CUDA library is missing");
  EXPECT_EQ(find(only({{}, report(4), ""}, 8), "NCCL", Level::ok)->text, "NCCL 2.27.3, 8 GPUs");
}

TEST(Probe, IsStartedAsThisMpirunWantsIt) {
  LocalMachine machine;
  machine.cores = 64;
  machine.mpirun = "/usr/bin/mpirun";
  machine.mpi_version = "Open MPI 4.1.4";
  EXPECT_EQ(shell_quote(probe_command(machine, {}, "/x/probe")),
            "/usr/bin/mpirun -n 4 --oversubscribe --bind-to none /x/probe");
  machine.mpi_version = "MPICH 4.0.2";
  machine.cores = 1;
  EXPECT_EQ(shell_quote(probe_command(machine, {.hosts = "a:2,b:2"}, "/x/probe")),
            "/usr/bin/mpirun -n 2 --host a:2,b:2 /x/probe");
}

TEST(Files, AFolderThatHoldsRuns) {
  const TemporaryFolder folder;
  const Findings findings = check_files(folder.path());
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_NE(findings[0].text.find(" free"), std::string::npos);
  EXPECT_NE(findings[1].text.find("synced and renamed in"), std::string::npos);
  EXPECT_TRUE(fs::is_empty(folder.path())) << "something was left behind";
}

TEST(Files, AFolderThatCannotBeWritten) {
  const Findings findings = check_files("/proc/self");
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].level, Level::error);
  EXPECT_NE(findings[0].text.find("/proc/self"), std::string::npos);
}

struct End {
  int code;
  std::string output, error;
};

// The program with another PATH.
End doctor(std::vector<std::string> words, const std::string& path) {
  auto environment = current_environment();
  environment["PATH"] = path;
  words.insert(words.begin(), LOCKSTEP_DOCTOR);
  const auto end = capture({.argv = words, .environment = environment, .new_session = true}, 60).value();
  return {end.status.code, end.output, end.error};
}

void write_program(const fs::path& path, const std::string& text) {
  std::ofstream(path) << "#!/bin/sh\n" << text << '\n';
  ::chmod(path.c_str(), 0755);
}

TEST(Doctor, AMachineWithoutMpiIsAnError) {
  const TemporaryFolder folder;
  const End end = doctor({"--workspace", folder.path().string()}, folder.path().string());
  EXPECT_EQ(end.code, 1) << end.error;
  EXPECT_NE(end.output.find("error    MPI      there is no mpirun on PATH\n                  -> install an MPI"),
            std::string::npos)
      << end.output;
  EXPECT_NE(end.output.find("Slurm    none: there is no sinfo on PATH"), std::string::npos);
}

TEST(Doctor, ASlurmIsAsked) {
  const TemporaryFolder folder;
  write_program(folder.path() / "sinfo", "echo 'debug* 4 up'; echo 'gpu 2 up'");
  const End end = doctor({"--workspace", folder.path().string()}, folder.path().string());
  EXPECT_NE(end.output.find("ok       Slurm    partitions (nodes, state): debug* 4 up; gpu 2 up"), std::string::npos)
      << end.output;
  write_program(folder.path() / "sinfo", "echo 'cannot reach slurmctld' >&2; exit 1");
  const End down = doctor({"--workspace", folder.path().string()}, folder.path().string());
  EXPECT_NE(down.output.find("warning  Slurm    sinfo fails: cannot reach slurmctld"), std::string::npos)
      << down.output;
}

TEST(Doctor, AnUnknownOptionIsABadUsage) {
  const End end = doctor({"--jsn"}, "/nowhere");
  EXPECT_EQ(end.code, 2);
  EXPECT_NE(end.error.find("json"), std::string::npos) << end.error;
}

TEST(Doctor, MeasuresThisMachine) {
  const char* const path = std::getenv("PATH");
  if (!LOCKSTEP_HAS_PROBE || !find_program("mpirun", path == nullptr ? "/usr/bin" : path)) {
    GTEST_SKIP() << "no MPI here";
  }
  const TemporaryFolder folder;
  const End end = doctor({"--json", "--processes", "2", "--workspace", folder.path().string()}, path);
  EXPECT_EQ(end.code, 0) << end.output << end.error;
  const auto document = nlohmann::json::parse(end.output);
  ASSERT_EQ(document.at("links").size(), 2u) << end.output;
  EXPECT_EQ(document["links"][0]["backend"], "shm");
  EXPECT_EQ(document["links"][1]["backend"], "mpi");
  EXPECT_GT(document["links"][0]["points"].size(), 1u);
  EXPECT_GT(document["links"][0]["points"][0]["seconds"].get<double>(), 0);
}

}  // namespace
}  // namespace lockstep
