#include "lockstep/core/publish.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>

#include "lockstep/core/error.h"
#include "lockstep/core/file_descriptor.h"
#include "lockstep/core/machine.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

void write_all(int fd, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_errno("cannot write " + path.string());
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

fs::path parent_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

// A complete and synced file beside its later place, removed again unless it is moved there.
class TemporaryFile {
 public:
  TemporaryFile(const fs::path& target, std::string_view bytes, unsigned mode) : target_(target) {
    static std::atomic<unsigned> count{0};
    // With the host: process ids repeat between the nodes that share a file system.
    path_ = parent_of(target) / ("." + target.filename().string() + ".tmp-" + host_name() + "-" +
                                 std::to_string(::getpid()) + "-" + std::to_string(count++));
    ::unlink(path_.c_str());  // left by a process of the same pid that was killed: nobody else uses the name
    fd_ = FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!fd_) fail_errno("cannot write " + target.string());
    try {
      // Past the umask, where the file system knows of modes. Where it does not, the file is only more private.
      if (::fchmod(fd_.get(), mode) != 0) errno = 0;
      write_all(fd_.get(), bytes, target);
      if (::fsync(fd_.get()) != 0) fail_errno("cannot write " + target.string());
    } catch (...) {
      ::unlink(path_.c_str());
      throw;
    }
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (!moved_) ::unlink(path_.c_str());
  }

  void replace_target() {
    struct stat written {};
    if (::fstat(fd_.get(), &written) != 0 || !fd_.close()) fail_errno("cannot write " + target_.string());
    if (::rename(path_.c_str(), target_.c_str()) != 0) {
      // NFS may answer a repeated request with an error although the rename was done: what lies there decides.
      const int code = errno;
      struct stat there {};
      const bool done =
          ::stat(target_.c_str(), &there) == 0 && there.st_ino == written.st_ino && there.st_dev == written.st_dev;
      errno = code;
      if (!done) fail_errno("cannot replace " + target_.string());
    }
    moved_ = true;
  }

  // False: the name is taken. A hard link is exclusive on every network file system, unlike O_EXCL on an old NFS.
  bool claim_target() {
    if (::link(path_.c_str(), target_.c_str()) == 0) return true;
    const int code = errno;
    struct stat own {};
    if (::fstat(fd_.get(), &own) == 0 && own.st_nlink == 2) return true;  // done, though the answer was lost
    if (code == EEXIST) return false;
    if (code == EPERM || code == EOPNOTSUPP || code == ENOSYS) return claim_by_rename();
    errno = code;
    fail_errno("cannot write " + target_.string());
  }

 private:
  bool claim_by_rename() {  // file systems without hard links
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target_.c_str(), RENAME_NOREPLACE) == 0) return moved_ = true;
    if (errno == EEXIST) return false;
    fail_errno("cannot write " + target_.string());
  }

  fs::path target_;
  fs::path path_;
  FileDescriptor fd_;
  bool moved_ = false;
};

}  // namespace

void publish_file(const fs::path& path, std::string_view bytes, unsigned mode) {
  struct stat old {};
  if (::stat(path.c_str(), &old) == 0 && S_ISREG(old.st_mode)) mode = old.st_mode & 07777;
  TemporaryFile(path, bytes, mode).replace_target();
  sync_path(parent_of(path));
}

bool publish_new_file(const fs::path& path, std::string_view bytes, unsigned mode) {
  if (!TemporaryFile(path, bytes, mode).claim_target()) return false;
  sync_path(parent_of(path));
  return true;
}

void make_directories(const fs::path& directory) {
  if (directory.empty()) return;
  std::error_code ignored;
  if (fs::is_directory(directory, ignored)) return;
  if (directory.has_parent_path() && directory.parent_path() != directory) make_directories(directory.parent_path());
  if (directory.filename().empty() || ::mkdir(directory.c_str(), 0700) == 0) return;  // "a/b/" ends in an empty name
  const int code = errno;
  if (fs::is_directory(directory, ignored)) return;  // another process made it in between
  if (code == EEXIST)
    fail(ErrorKind::environment, directory.string() + " is a file, and a directory is wanted there",
         "move the file away, or name another place");
  errno = code;
  fail_errno("cannot create the directory " + directory.string());
}

void sync_path(const fs::path& path) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) fail_errno("cannot open " + path.string());
  if (::fsync(fd.get()) == 0) return;
  std::error_code ignored;  // some file systems cannot sync a directory and say so; a file must be
  const int code = errno;
  if ((code == EINVAL || code == EOPNOTSUPP) && fs::is_directory(path, ignored)) return;
  errno = code;
  fail_errno("cannot write " + path.string() + " to disk");
}

std::string read_file(const fs::path& path, std::size_t limit_bytes) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) fail_errno("cannot read " + path.string());
  std::string bytes;
  char piece[1 << 16];
  for (;;) {
    const ssize_t got = ::read(fd.get(), piece, sizeof piece);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno("cannot read " + path.string());
    if (got == 0) return bytes;
    if (bytes.size() + static_cast<std::size_t>(got) > limit_bytes) {
      fail(ErrorKind::corrupt_data,
           path.string() + " is larger than the limit of " + std::to_string(limit_bytes) + " bytes");
    }
    bytes.append(piece, static_cast<std::size_t>(got));
  }
}

}  // namespace lockstep
