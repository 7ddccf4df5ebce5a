// Copies of a planned snapshot: the pristine one, checked while it is made, and the one the ranks work in.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "lockstep/core/file_descriptor.h"
#include "lockstep/core/sha256.h"
#include "lockstep/core/snapshot.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

void write_all(int file, const char* data, std::size_t bytes, const fs::path& path) {
  while (bytes > 0) {
    const ssize_t written = ::write(file, data, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_errno("cannot write " + path.string());
    data += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

// Returns the SHA-256 of what was copied. The mode is set at last: a read-only file cannot be opened for writing.
std::string copy_file(const fs::path& from, const fs::path& to, mode_t mode) {
  const FileDescriptor in(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!in) fail_errno("cannot read " + from.string());
  FileDescriptor out(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!out) fail_errno("cannot create " + to.string());
  Sha256 digest;
  std::vector<char> piece(1 << 18);
  for (;;) {
    const ssize_t got = ::read(in.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno("cannot read " + from.string());
    if (got == 0) break;
    digest.update(piece.data(), static_cast<std::size_t>(got));
    write_all(out.get(), piece.data(), static_cast<std::size_t>(got), to);
  }
  if (::fchmod(out.get(), mode) != 0) fail_errno("cannot set the mode of " + to.string());
  if (!out.close()) fail_errno("cannot write " + to.string());
  return digest.hex();
}

void copy_tree(const SnapshotPlan& plan, const fs::path& from, const fs::path& to, mode_t write_bits) {
  if (::mkdir(to.c_str(), 0700) != 0) fail_errno("cannot create " + to.string());
  for (const SnapshotFile& file : plan.files) {
    const fs::path target = to / file.path;
    fs::create_directories(target.parent_path());
    if (!file.link_target.empty()) {
      fs::create_symlink(file.link_target, target);
      continue;
    }
    const mode_t mode = (file.executable ? 0500 : 0400) | write_bits;
    if (copy_file(from / file.path, target, mode) != file.sha256)
      fail(ErrorKind::environment, "changed while it was copied into the snapshot", "submit again once it is complete",
           (from / file.path).string());
  }
}

Error as_environment_error(const std::exception& e) {
  Error error = to_error(e);
  if (dynamic_cast<const fs::filesystem_error*>(&e)) error.kind = ErrorKind::environment;
  return error;
}

}  // namespace

Result<fs::path> take_snapshot(const SnapshotPlan& plan, const fs::path& destination) {
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(destination, ignored)))
    return Error{ErrorKind::environment, "cannot take a snapshot there: it exists already", destination.string(), {}};
  try {
    copy_tree(plan, plan.source, destination, 0);
    return destination;
  } catch (const std::exception& e) {
    fs::remove_all(destination, ignored);
    return as_environment_error(e);
  }
}

void copy_snapshot(const SnapshotPlan& plan, const fs::path& snapshot, const fs::path& work) try {
  copy_tree(plan, snapshot, work, 0200);
} catch (const fs::filesystem_error& e) {
  throw Failure(as_environment_error(e));
}

}  // namespace lockstep
