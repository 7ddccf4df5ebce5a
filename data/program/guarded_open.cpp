#include "lockstep/data/program/guarded_open.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>

#include "lockstep/core/file_descriptor.h"
#include "lockstep/data/describe_dataset.h"

namespace lockstep {
namespace {

constexpr unsigned kMostSeconds = 120;
constexpr rlim_t kMemoryBeyondFile = rlim_t{512} << 20;  // the file itself is mapped

// A crash is reported by the parent: no core file, and nothing from glibc on the terminal.
void limit_this_process(const std::filesystem::path& path) {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const int nowhere = ::open("/dev/null", O_WRONLY);
  if (nowhere >= 0) dup2(nowhere, STDERR_FILENO);
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  const rlim_t limit = (error ? 0 : 3 * bytes) + kMemoryBeyondFile;
  const rlimit memory{limit, limit};
  setrlimit(RLIMIT_AS, &memory);
  alarm(kMostSeconds);
}

// What is wrong goes into the pipe; nothing when the file is sound. A pipe holds more than any message of ours.
[[noreturn]] void look(const std::filesystem::path& path, int pipe_end) {
  limit_this_process(path);
  try {
    const auto summary = describe_dataset(path);
    if (!summary) {
      const Error& error = summary.error();
      const nlohmann::json json{static_cast<int>(error.kind), error.what, error.where, error.hint};
      const std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      if (::write(pipe_end, text.data(), text.size()) < 0) _exit(1);
    }
    _exit(0);
  } catch (...) {  // out of memory
    _exit(1);
  }
}

std::string read_all(int descriptor) {
  std::string text;
  std::array<char, 4096> piece;
  while (true) {
    const ssize_t got = ::read(descriptor, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(got));
  }
}

[[noreturn]] void report_death(const std::filesystem::path& path, int status) {
  std::string what = "needs more memory to be read than a sound file does";
  if (WIFSIGNALED(status)) what = "the HDF5 library crashes on it (signal " + std::to_string(WTERMSIG(status)) + ")";
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) what = "the HDF5 library does not come to an end with it";
  fail(ErrorKind::usage, what, "the file is damaged; import or copy it again", path.string());
}

}  // namespace

void look_first(const std::filesystem::path& path) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail_errno("cannot make a pipe");
  const FileDescriptor read_end(ends[0]);
  FileDescriptor write_end(ends[1]);
  const pid_t child = fork();
  if (child < 0) fail_errno("cannot start a process");
  if (child == 0) look(path, write_end.get());
  write_end.close();
  const std::string text = read_all(read_end.get());
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) report_death(path, status);
  if (text.empty()) return;
  const auto json = nlohmann::json::parse(text);
  throw Failure(Error{static_cast<ErrorKind>(json.at(0).get<int>()), json.at(1), json.at(2), json.at(3)});
}

}  // namespace lockstep
