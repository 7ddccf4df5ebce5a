// Copies of a planned snapshot: the pristine one, checked while it is made, and the one the ranks work in.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <vector>

#include "lockstep/core/file_descriptor.h"
#include "lockstep/core/sha256.h"
#include "lockstep/core/snapshot.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr int kMostCopies = 3;

void write_all(int file, const char* data, std::size_t bytes, const fs::path& path) {
  while (bytes > 0) {
    const ssize_t written = ::write(file, data, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_errno("cannot write " + path.string());
    data += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

struct Copy {
  std::string sha256;
  std::int64_t bytes = 0;
};

// No more than the file's size when it is opened: one that grows all the time has an end too. The mode is set at last:
// a read-only file cannot be opened for writing.
Copy copy_file(const fs::path& from, const fs::path& to, mode_t mode) {
  const FileDescriptor in(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!in) fail_errno("cannot read " + from.string());
  struct stat status {};
  if (::fstat(in.get(), &status) != 0) fail_errno("cannot read " + from.string());
  FileDescriptor out(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!out) fail_errno("cannot create " + to.string());
  Sha256 digest;
  Copy copy;
  std::vector<char> piece(1 << 18);
  while (copy.bytes < status.st_size) {
    const auto wanted = std::min(static_cast<std::int64_t>(piece.size()), status.st_size - copy.bytes);
    const ssize_t got = ::read(in.get(), piece.data(), static_cast<std::size_t>(wanted));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno("cannot read " + from.string());
    if (got == 0) break;
    digest.update(piece.data(), static_cast<std::size_t>(got));
    write_all(out.get(), piece.data(), static_cast<std::size_t>(got), to);
    copy.bytes += got;
  }
  if (::fchmod(out.get(), mode) != 0) fail_errno("cannot set the mode of " + to.string());
  if (!out.close()) fail_errno("cannot write " + to.string());
  copy.sha256 = digest.hex();
  return copy;
}

// A log that someone writes, a source that is just being saved: taken once two looks agree, or as the last one saw it.
void copy_until_steady(SnapshotFile& file, const fs::path& from, const fs::path& to, mode_t mode) {
  for (int tries = 1;; ++tries) {
    const Copy copy = copy_file(from, to, mode);
    const bool steady = copy.sha256 == file.sha256;
    file.sha256 = copy.sha256;
    file.bytes = copy.bytes;
    if (steady || tries == kMostCopies) return;
    fs::remove(to);
  }
}

using CopyOne = std::function<void(SnapshotFile&, const fs::path& from, const fs::path& to, mode_t mode)>;

void copy_tree(SnapshotPlan& plan, const fs::path& from, const fs::path& to, mode_t write_bits, const CopyOne& copy) {
  if (::mkdir(to.c_str(), 0700) != 0) fail_errno("cannot create " + to.string());
  for (SnapshotFile& file : plan.files) {
    const fs::path target = to / file.path;
    fs::create_directories(target.parent_path());
    if (file.link_target.empty())
      copy(file, from / file.path, target, (file.executable ? 0500 : 0400) | write_bits);
    else
      fs::create_symlink(file.link_target, target);
  }
}

void copy_checked(SnapshotFile& file, const fs::path& from, const fs::path& to, mode_t mode) {
  if (copy_file(from, to, mode).sha256 != file.sha256)
    fail(ErrorKind::environment, "the snapshot changed while it was copied", {}, from.string());
}

Error as_environment_error(const std::exception& e) {
  Error error = to_error(e);
  if (dynamic_cast<const fs::filesystem_error*>(&e)) error.kind = ErrorKind::environment;
  return error;
}

}  // namespace

Result<SnapshotPlan> take_snapshot(SnapshotPlan plan, const fs::path& destination) {
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(destination, ignored)))
    return Error{ErrorKind::environment, "cannot take a snapshot there: it exists already", destination.string(), {}};
  try {
    copy_tree(plan, plan.source, destination, 0, copy_until_steady);
  } catch (const std::exception& e) {
    fs::remove_all(destination, ignored);
    return as_environment_error(e);
  }
  plan.total_bytes = 0;
  for (const SnapshotFile& file : plan.files) plan.total_bytes += file.bytes;
  plan.digest = snapshot_digest(plan.files);
  return plan;
}

void copy_snapshot(const SnapshotPlan& plan, const fs::path& snapshot, const fs::path& work) try {
  SnapshotPlan same = plan;
  copy_tree(same, snapshot, work, 0200, copy_checked);
} catch (const fs::filesystem_error& e) {
  throw Failure(as_environment_error(e));
}

}  // namespace lockstep
