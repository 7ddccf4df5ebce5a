// capture(): one program run to its end with its output kept.
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "lockstep/core/file_descriptor.h"
#include "lockstep/core/process.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

struct Stream {
  FileDescriptor read_end, write_end;
  std::string text;

  void open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail_errno("cannot make a pipe");
    read_end = FileDescriptor(ends[0]);
    write_end = FileDescriptor(ends[1]);
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  }

  // One piece; closes at the end of the stream.
  void read_some(std::size_t limit_bytes) {
    std::array<char, 65536> piece;
    const ssize_t got = ::read(read_end.get(), piece.data(), piece.size());
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) read_end = FileDescriptor();
    if (got > 0)
      text.append(piece.data(), std::min<std::size_t>(got, limit_bytes - std::min(limit_bytes, text.size())));
  }
};

int remaining_milliseconds(Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left + 1, 0, 1'000'000));
}

// Waits until a stream has something, the process ends or the deadline passes. A kernel without pidfd_open is polled.
void wait_for_news(std::array<Stream, 2>& streams, int process, bool ended, Clock::time_point deadline) {
  std::array<pollfd, 3> files{{{streams[0].read_end.get(), POLLIN, 0},
                               {streams[1].read_end.get(), POLLIN, 0},
                               {ended ? -1 : process, POLLIN, 0}}};
  int wait = ended ? 0 : remaining_milliseconds(deadline);
  if (process < 0) wait = std::min(wait, 2);
  ::poll(files.data(), files.size(), wait);
}

}  // namespace

Result<Captured> capture(ProcessSpec spec, double timeout_seconds, std::size_t limit_bytes) {
  const auto deadline =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(timeout_seconds));
  std::array<Stream, 2> streams;
  for (Stream& stream : streams) stream.open();
  spec.standard_output = streams[0].write_end.get();
  spec.standard_error = streams[1].write_end.get();
  const Result<pid_t> started = start_process(spec);
  if (!started) return started.error();
  for (Stream& stream : streams) stream.write_end.close();

  const pid_t pid = *started;
  const FileDescriptor process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  Captured result;
  bool killed = false;
  for (bool ended = false, read_any = true; !ended || read_any;) {
    wait_for_news(streams, process.get(), ended, deadline);
    const std::size_t before = streams[0].text.size() + streams[1].text.size();
    for (Stream& stream : streams)
      if (stream.read_end) stream.read_some(limit_bytes);
    read_any = streams[0].text.size() + streams[1].text.size() != before;
    if (ended) continue;
    if (const auto status = poll_process(pid)) {
      result.status = *status;
      ended = read_any = true;  // once more: what it wrote last is still in the pipes
    } else if (!killed && Clock::now() >= deadline) {
      ::kill(spec.new_session ? -pid : pid, SIGKILL);
      killed = true;
    }
  }
  result.output = std::move(streams[0].text);
  result.error = std::move(streams[1].text);
  return result;
}

}  // namespace lockstep
