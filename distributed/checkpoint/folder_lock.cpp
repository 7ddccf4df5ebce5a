#include "lockstep/distributed/checkpoint/folder_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include "lockstep/core/error.h"
#include "lockstep/core/machine.h"
#include "lockstep/core/publish.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr auto kPatience = std::chrono::seconds(2);
constexpr auto kPause = std::chrono::milliseconds(50);

enum class Outcome { locked, taken, no_locks };

// A lock of the open file and not of the process: another descriptor of this process neither shares nor drops it, and
// NFS passes it on to its server.
Outcome try_lock(int file) {
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (fcntl(file, F_OFD_SETLK, &whole) == 0) return Outcome::locked;
  return errno == EAGAIN || errno == EACCES ? Outcome::taken : Outcome::no_locks;
}

Outcome lock_patiently(int file) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    const Outcome outcome = try_lock(file);
    if (outcome != Outcome::taken || std::chrono::steady_clock::now() >= end) return outcome;
    std::this_thread::sleep_for(kPause);
  }
}

[[noreturn]] void fail_taken(const fs::path& folder, const fs::path& lock) {
  std::string holder = "another process";
  try {
    std::string line = read_file(lock, 1 << 10);
    line = line.substr(0, line.find('\n'));
    if (!line.empty()) holder = line;
  } catch (const Failure&) {
    // Its name is lost, the lock is not.
  }
  fail(ErrorKind::environment, "another training writes its checkpoints here: " + holder,
       "wait for it to end or end it, or name another folder with --outputs", folder.string());
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder) {
  const fs::path path = folder / ".lock";
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!file) return;  // another user's, or no room: whether the folder can be written is not asked here
  const Outcome outcome = lock_patiently(file.get());
  if (outcome == Outcome::taken) fail_taken(folder, path);
  if (outcome == Outcome::no_locks) return;
  const std::string holder = "process " + std::to_string(getpid()) + " on " + host_name() + "\n";
  if (ftruncate(file.get(), 0) != 0 || pwrite(file.get(), holder.data(), holder.size(), 0) < 0)
    errno = 0;  // only the name in somebody else's message is lost
  file_ = std::move(file);
}

}  // namespace lockstep
