#include "lockstep/core/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>

#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

Captured run(ProcessSpec spec) { return capture(std::move(spec), 30).value(); }

TEST(Process, ArgumentsArriveUntouched) {
  const auto result = run({.argv = {"printf", "<%s>", "two words", "$HOME", "", "'quoted\"", "new\nline", "*"}});
  EXPECT_EQ(result.output, "<two words><$HOME><><'quoted\"><new\nline><*>");
  EXPECT_EQ(result.status.code, 0);
}

TEST(Process, ExitCodeAndSignalAreTold) {
  EXPECT_EQ(run({.argv = {"sh", "-c", "exit 75"}}).status.code, 75);
  const auto killed = run({.argv = {"sh", "-c", "kill -USR2 $$"}});
  EXPECT_EQ(killed.status.signal, SIGUSR2);
  EXPECT_EQ(killed.status.code, 128 + SIGUSR2);
}

TEST(Process, StreamsAreKeptApart) {
  const auto result = run({.argv = {"sh", "-c", "echo out; echo err >&2; cat; echo end"}});
  EXPECT_EQ(result.output, "out\nend\n");  // cat had /dev/null to read
  EXPECT_EQ(result.error, "err\n");
}

TEST(Process, MissingProgramNamesThePathItSearched) {
  const auto result = start_process({.argv = {"no-such-program"}, .environment = {{{"PATH", "/usr/games:/nowhere"}}}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::environment);
  EXPECT_EQ(result.error().what, "cannot start no-such-program: no such program on PATH");
  EXPECT_EQ(result.error().hint, "PATH is /usr/games:/nowhere");
}

TEST(Process, TheReasonOfExecComesBack) {
  TemporaryDirectory directory;
  const auto script = directory.path() / "plain";
  std::ofstream(script) << "echo no first line\n";
  ::chmod(script.c_str(), 0755);
  const auto no_format = start_process({.argv = {script}});
  ASSERT_FALSE(no_format);
  EXPECT_EQ(no_format.error().what, "cannot start " + script.string() + ": Exec format error");
  const auto not_executable = start_process({.argv = {"/etc/passwd"}});
  ASSERT_FALSE(not_executable);
  EXPECT_EQ(not_executable.error().what, "cannot start /etc/passwd: Permission denied");
  const auto no_directory = start_process({.argv = {"true"}, .directory = "/no/such/place"});
  ASSERT_FALSE(no_directory);
  EXPECT_EQ(no_directory.error().what, "cannot start true in /no/such/place: No such file or directory");
}

TEST(Process, TheEnvironmentIsExactlyTheOneGiven) {
  const auto result = run({.argv = {"env"}, .environment = {{{"PATH", "/usr/bin:/bin"}, {"ODD", "a=b c"}}}});
  EXPECT_EQ(result.output, "ODD=a=b c\nPATH=/usr/bin:/bin\n");
}

TEST(Process, RunsInTheDirectory) {
  EXPECT_EQ(run({.argv = {"pwd"}, .directory = "/usr/share"}).output, "/usr/share\n");
}

TEST(Process, NoOtherDescriptorIsInherited) {
  const int open_here = ::open("/etc/passwd", O_RDONLY);  // without O_CLOEXEC
  ASSERT_GE(open_here, 0);
  const auto result = run({.argv = {"sh", "-c", "ls /proc/$$/fd"}});
  ::close(open_here);
  EXPECT_EQ(result.output, "0\n1\n2\n");
}

TEST(Process, BothOutputsMayShareOneFile) {
  TemporaryDirectory directory;
  const auto path = directory.path() / "both";
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const auto child =
      start_process({.argv = {"sh", "-c", "echo one; echo two >&2"}, .standard_output = file, .standard_error = file});
  ::close(file);
  EXPECT_EQ(wait_process(child.value()).code, 0);
  std::ifstream in(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "one\ntwo\n");
}

TEST(Process, IgnoredAndBlockedSignalsAreResetInTheChild) {
  ::signal(SIGUSR1, SIG_IGN);
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  ::sigprocmask(SIG_BLOCK, &blocked, &before);
  const auto result = run({.argv = {"sh", "-c", "kill -USR1 $$; echo survived"}});
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  ::signal(SIGUSR1, SIG_DFL);
  EXPECT_EQ(result.status.signal, SIGUSR1);
  EXPECT_EQ(result.output, "");
}

TEST(Process, ANewSessionIsAGroupOfItsOwn) {
  const auto child = start_process({.argv = {"sleep", "60"}, .new_session = true}).value();
  EXPECT_EQ(::getpgid(child), child);
  EXPECT_EQ(::getsid(child), child);
  EXPECT_FALSE(poll_process(child));
  ::kill(-child, SIGTERM);
  EXPECT_EQ(wait_process(child).signal, SIGTERM);
}

TEST(Process, DiesWithTheOneThatStartedIt) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t starter = ::fork();
  if (starter == 0) {
    const auto child = start_process({.argv = {"sleep", "60"}, .standard_output = ends[1], .die_with_parent = true});
    ::_exit(child ? 0 : 1);
  }
  ::close(ends[1]);
  EXPECT_EQ(wait_process(starter).code, 0);
  char byte;
  EXPECT_EQ(::read(ends[0], &byte, 1), 0);  // the end of the pipe: nobody holds it any more
  ::close(ends[0]);
}

TEST(Capture, LargeOutputOnBothStreamsDoesNotBlock) {
  const auto result = run({.argv = {"sh", "-c", "head -c 3000000 /dev/zero; head -c 3000001 /dev/zero >&2"}});
  EXPECT_EQ(result.output.size(), 3000000u);
  EXPECT_EQ(result.error.size(), 3000001u);
}

TEST(Capture, OutputBeyondTheLimitIsDropped) {
  const auto result = capture({.argv = {"sh", "-c", "printf 0123456789; head -c 1000000 /dev/zero"}}, 30, 7).value();
  EXPECT_EQ(result.output, "0123456");
  EXPECT_EQ(result.status.code, 0);
}

TEST(Capture, TheTimeoutKillsTheWholeGroup) {
  const auto result =
      capture({.argv = {"sh", "-c", "echo begun; sleep 60; echo no"}, .new_session = true}, 0.2).value();
  EXPECT_EQ(result.status.signal, SIGKILL);
  EXPECT_EQ(result.output, "begun\n");
}

TEST(Capture, AChildLeftBehindDoesNotHoldItUp) {
  const auto begin = std::chrono::steady_clock::now();
  const auto result = capture({.argv = {"sh", "-c", "sleep 20 & echo $!"}}, 60).value();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(15));
  EXPECT_EQ(result.status.code, 0);
  ::kill(std::stoi(result.output), SIGKILL);
}

TEST(ProcessTable, StartTimeTellsProcessesApart) {
  const auto mine = process_start_time(::getpid());
  ASSERT_TRUE(mine);
  EXPECT_EQ(mine, process_start_time(::getpid()));
  const auto child = start_process({.argv = {"sleep", "60"}}).value();
  EXPECT_GE(process_start_time(child).value(), *mine);
  ::kill(child, SIGKILL);
  siginfo_t ended;
  ::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT);  // dead, not yet reaped
  EXPECT_FALSE(process_start_time(child));
  wait_process(child);
  EXPECT_FALSE(process_start_time(child));
}

TEST(ProcessTable, FoundByEnvironmentAlone) {
  const std::string value = "run_" + std::to_string(::getpid());
  const auto marked =
      start_process({.argv = {"sleep", "60"}, .environment = {{{"PATH", "/bin"}, {"LOCKSTEP_RUN_ID", value}}}}).value();
  const auto longer =
      start_process({.argv = {"sleep", "60"}, .environment = {{{"PATH", "/bin"}, {"LOCKSTEP_RUN_ID", value + "x"}}}})
          .value();
  EXPECT_EQ(processes_with_environment("LOCKSTEP_RUN_ID", value), std::vector<pid_t>{marked});
  for (const pid_t child : {marked, longer}) {
    ::kill(child, SIGKILL);
    wait_process(child);
  }
  EXPECT_TRUE(processes_with_environment("LOCKSTEP_RUN_ID", value).empty());
}

}  // namespace
}  // namespace lockstep
