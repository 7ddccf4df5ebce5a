#include "lockstep/core/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>

namespace lockstep {
namespace {

// Which step of the child failed, with errno: what comes back through the pipe.
struct ChildFailure {
  enum Step : int { directory, exec } step;
  int code;
};

// All that the child needs, made before the fork: between fork and exec only async-signal-safe calls are allowed.
struct ChildImage {
  std::string program;
  std::vector<char*> argv;
  std::vector<std::string> assignments;
  std::vector<char*> environment;
};

std::string search_path(const ProcessSpec& spec) {
  if (spec.environment) {
    const auto found = spec.environment->find("PATH");
    if (found != spec.environment->end()) return found->second;
  }
  const char* path = std::getenv("PATH");
  return path ? path : "/usr/local/bin:/usr/bin:/bin";
}

Result<ChildImage> make_image(const ProcessSpec& spec) {
  if (spec.argv.empty()) return Error{ErrorKind::internal, "no program to start: argv is empty", {}, {}};
  ChildImage image;
  image.program = spec.argv.front();
  if (image.program.find('/') == std::string::npos) {
    const std::string path = search_path(spec);
    const auto found = find_program(image.program, path);
    if (!found)
      return Error{
          ErrorKind::environment, "cannot start " + image.program + ": no such program on PATH", {}, "PATH is " + path};
    image.program = found->string();
  }
  for (const std::string& argument : spec.argv) image.argv.push_back(const_cast<char*>(argument.c_str()));
  image.argv.push_back(nullptr);
  if (spec.environment) {
    for (const auto& [name, value] : *spec.environment) image.assignments.push_back(name + "=" + value);
    for (std::string& assignment : image.assignments) image.environment.push_back(assignment.data());
    image.environment.push_back(nullptr);
  }
  return image;
}

[[noreturn]] void give_up(int pipe, ChildFailure::Step step) {
  const ChildFailure failure{step, errno};
  [[maybe_unused]] const auto written = ::write(pipe, &failure, sizeof failure);
  ::_exit(127);
}

void default_signals() {
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// The wanted descriptors may be 0 to 2 in any order: all are moved out of the way first.
void place_streams(const ProcessSpec& spec) {
  std::array<int, 3> wanted{spec.standard_input, spec.standard_output, spec.standard_error};
  if (wanted[0] < 0) wanted[0] = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  for (int& descriptor : wanted)
    if (descriptor >= 0) descriptor = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
  for (int target = 0; target < 3; ++target)
    if (wanted[target] >= 0) ::dup2(wanted[target], target);
}

// Kernels before 5.11 do not know the flag; then one by one.
void close_others_on_exec() {
  if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
  const long limit = ::sysconf(_SC_OPEN_MAX);
  for (int descriptor = 3; descriptor < limit; ++descriptor) ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

[[noreturn]] void become(const ProcessSpec& spec, const ChildImage& image, pid_t parent, int pipe) {
  default_signals();
  if (spec.new_session) ::setsid();
  if (spec.die_with_parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);  // it ended before the request was in place
  }
  place_streams(spec);
  if (!spec.directory.empty() && ::chdir(spec.directory.c_str()) != 0) give_up(pipe, ChildFailure::directory);
  close_others_on_exec();
  ::execve(image.program.c_str(), image.argv.data(), spec.environment ? image.environment.data() : environ);
  give_up(pipe, ChildFailure::exec);
}

Error start_error(const ProcessSpec& spec, const ChildFailure& failure) {
  const std::string reason = std::strerror(failure.code);
  if (failure.step == ChildFailure::directory)
    return Error{ErrorKind::environment,
                 "cannot start " + spec.argv.front() + " in " + spec.directory.string() + ": " + reason,
                 {},
                 {}};
  std::string hint;
  if (failure.code == ENOEXEC) hint = "a script needs a first line such as #!/bin/sh";
  return Error{ErrorKind::environment, "cannot start " + spec.argv.front() + ": " + reason, {}, hint};
}

ExitStatus decode(int status) {
  if (WIFSIGNALED(status)) return {128 + WTERMSIG(status), WTERMSIG(status)};
  return {WEXITSTATUS(status), 0};
}

std::optional<ExitStatus> wait_with(pid_t pid, int options) {
  int status = 0;
  pid_t ended;
  do ended = ::waitpid(pid, &status, options);
  while (ended < 0 && errno == EINTR);
  if (ended < 0) fail_errno("cannot wait for process " + std::to_string(pid));
  if (ended == 0) return {};
  return decode(status);
}

}  // namespace

Result<pid_t> start_process(const ProcessSpec& spec) {
  Result<ChildImage> image = make_image(spec);
  if (!image) return image.error();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail_errno("cannot make a pipe to start " + spec.argv.front());
  // Above 2, or placing the child's streams would overwrite it.
  const int write_end = ::fcntl(ends[1], F_DUPFD_CLOEXEC, 3);
  ::close(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) become(spec, *image, parent, write_end);
  const int fork_error = errno;
  ::close(write_end);
  ChildFailure failure{};
  ssize_t got = 0;
  if (child > 0) {
    do got = ::read(ends[0], &failure, sizeof failure);
    while (got < 0 && errno == EINTR);
  }
  ::close(ends[0]);
  if (child < 0)
    return Error{
        ErrorKind::environment, "cannot start " + spec.argv.front() + ": " + std::strerror(fork_error), {}, {}};
  if (got == 0) return child;  // exec closed the pipe
  wait_process(child);
  return start_error(spec, failure);
}

ExitStatus wait_process(pid_t pid) { return *wait_with(pid, 0); }

std::optional<ExitStatus> poll_process(pid_t pid) { return wait_with(pid, WNOHANG); }

}  // namespace lockstep
