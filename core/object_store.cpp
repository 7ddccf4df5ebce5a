#include "lockstep/core/object_store.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <random>
#include <vector>

#include "lockstep/core/file_descriptor.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/sha256.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

// The time of change that every object bears. One that was written to has another: that is seen without reading it.
constexpr timespec kMade{1, 0};

void write_all(int file, const char* data, std::size_t bytes, const fs::path& path) {
  while (bytes > 0) {
    const ssize_t written = ::write(file, data, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_errno("cannot write " + path.string());
    data += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

// No more than the file's size when it is opened: one that grows all the time has an end too.
ObjectStore::Content copy_bytes(int in, int out, const fs::path& from, const fs::path& to) {
  struct stat status {};
  if (::fstat(in, &status) != 0) fail_errno("cannot read " + from.string());
  Sha256 digest;
  ObjectStore::Content content;
  std::vector<char> piece(1 << 18);
  while (content.bytes < status.st_size) {
    const auto wanted = std::min(static_cast<std::int64_t>(piece.size()), status.st_size - content.bytes);
    const ssize_t got = ::read(in, piece.data(), static_cast<std::size_t>(wanted));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno("cannot read " + from.string());
    if (got == 0) break;
    digest.update(piece.data(), static_cast<std::size_t>(got));
    write_all(out, piece.data(), static_cast<std::size_t>(got), to);
    content.bytes += got;
  }
  content.sha256 = digest.hex();
  return content;
}

// Of an object: read-only, and with its time.
bool is_as_made(const fs::path& object, std::int64_t bytes) {
  struct stat status {};
  return ::lstat(object.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_size == bytes &&
         (status.st_mode & 0222) == 0 && status.st_mtim.tv_sec == kMade.tv_sec &&
         status.st_mtim.tv_nsec == kMade.tv_nsec && ::access(object.c_str(), R_OK) == 0;
}

std::string unused_name() {
  static thread_local std::random_device random;
  char name[40];
  std::snprintf(name, sizeof name, ".new-%d-%08x", static_cast<int>(::getpid()), static_cast<unsigned>(random()));
  return name;
}

// Removed unless it got its name.
struct TemporaryFile {
  fs::path path;
  ~TemporaryFile() { ::unlink(path.c_str()); }
};

}  // namespace

ObjectStore::Content copy_or_clone(const fs::path& from, const fs::path& to, unsigned mode, bool* cloned) {
  const FileDescriptor in(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!in) fail_errno("cannot read " + from.string());
  FileDescriptor out(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!out) fail_errno("cannot create " + to.string());
  const bool shared = cloned != nullptr && ::ioctl(out.get(), FICLONE, in.get()) == 0;
  if (cloned != nullptr) *cloned = shared;
  const ObjectStore::Content content = shared ? ObjectStore::Content{} : copy_bytes(in.get(), out.get(), from, to);
  // At last: a read-only file cannot be opened for writing.
  if (::fchmod(out.get(), static_cast<mode_t>(mode)) != 0) fail_errno("cannot set the mode of " + to.string());
  if (!out.close()) fail_errno("cannot write " + to.string());
  return content;
}

fs::path ObjectStore::path(const std::string& sha256, bool executable) const {
  return folder_ / sha256.substr(0, 2) / (sha256 + (executable ? "-x" : ""));
}

bool ObjectStore::link(const std::string& sha256, bool executable, std::int64_t bytes,
                       const fs::path& destination) const {
  const fs::path object = path(sha256, executable);
  if (!is_as_made(object, bytes)) return false;
  if (::link(object.c_str(), destination.c_str()) == 0) return true;
  if (errno == ENOENT) return false;  // it was removed a moment ago
  if (errno == EEXIST) fail_errno("cannot create " + destination.string());
  // EXDEV, EMLINK, EPERM: no hard links here.
  if (copy_or_clone(object, destination, executable ? 0500 : 0400).sha256 == sha256) return true;
  ::unlink(destination.c_str());
  return false;
}

ObjectStore::Content ObjectStore::add(const fs::path& source, bool executable, const fs::path& destination) const {
  make_directories(folder_);
  const TemporaryFile copy{folder_ / unused_name()};
  const Content content = copy_or_clone(source, copy.path, executable ? 0500 : 0400);
  const timespec times[2] = {kMade, kMade};
  if (::utimensat(AT_FDCWD, copy.path.c_str(), times, 0) != 0)
    fail_errno("cannot set the time of " + copy.path.string());
  const fs::path object = path(content.sha256, executable);
  make_directories(object.parent_path());
  // An equal one may have come in between; one that was written to gives way.
  if (is_as_made(object, content.bytes) || ::rename(copy.path.c_str(), object.c_str()) == 0) {
    if (link(content.sha256, executable, content.bytes, destination)) return content;
  }
  fail(ErrorKind::environment, "cannot keep " + source.string() + " in the store of snapshots", {}, object.string());
}

}  // namespace lockstep
