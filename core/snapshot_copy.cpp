// Copies of a planned snapshot: the pristine one, checked while it is made, and the one the ranks work in.
#include <sys/stat.h>

#include <functional>

#include "lockstep/core/hash_cache.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/snapshot.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr int kMostCopies = 3;

// A log that someone writes, a source that is just being saved: taken once two looks agree, or as the last one saw it.
void copy_until_steady(SnapshotFile& file, const fs::path& from, const fs::path& to, const ObjectStore& objects) {
  if (objects.link(file.sha256, file.executable, file.bytes, to)) return;
  for (int tries = 1;; ++tries) {
    const ObjectStore::Content copy = objects.add(from, file.executable, to);
    const bool steady = copy.sha256 == file.sha256;
    if (!steady) file.stamp.clear();
    file.sha256 = copy.sha256;
    file.bytes = copy.bytes;
    if (steady || tries == kMostCopies) return;
    fs::remove(to);
  }
}

using CopyOne = std::function<void(SnapshotFile&, const fs::path& from, const fs::path& to)>;

void copy_tree(SnapshotPlan& plan, const fs::path& from, const fs::path& to, const CopyOne& copy) {
  if (::mkdir(to.c_str(), 0700) != 0) fail_errno("cannot create " + to.string());
  for (SnapshotFile& file : plan.files) {
    const fs::path target = to / file.path;
    make_directories(target.parent_path());
    if (file.link_target.empty())
      copy(file, from / file.path, target);
    else
      fs::create_symlink(file.link_target, target);
  }
}

void copy_checked(SnapshotFile& file, const fs::path& from, const fs::path& to) {
  bool cloned = false;
  if (copy_or_clone(from, to, file.executable ? 0700 : 0600, &cloned).sha256 != file.sha256 && !cloned)
    fail(ErrorKind::environment, "the snapshot changed while it was copied", {}, from.string());
}

// For the next time that this source is taken.
void remember_digests(const SnapshotPlan& plan, const ObjectStore& objects) {
  HashCache cache(objects.folder(), plan.source);
  for (const SnapshotFile& file : plan.files)
    if (file.link_target.empty()) cache.add(file.path.string(), file.stamp, file.sha256, plan.looked_at);
  cache.save();
}

Error as_environment_error(const std::exception& e) {
  Error error = to_error(e);
  if (dynamic_cast<const fs::filesystem_error*>(&e)) error.kind = ErrorKind::environment;
  return error;
}

}  // namespace

Result<SnapshotPlan> take_snapshot(SnapshotPlan plan, const fs::path& destination, const ObjectStore& objects) {
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(destination, ignored)))
    return Error{ErrorKind::environment, "cannot take a snapshot there: it exists already", destination.string(), {}};
  try {
    copy_tree(plan, plan.source, destination, [&](SnapshotFile& file, const fs::path& from, const fs::path& to) {
      copy_until_steady(file, from, to, objects);
    });
  } catch (const std::exception& e) {
    fs::remove_all(destination, ignored);
    return as_environment_error(e);
  }
  plan.total_bytes = 0;
  for (const SnapshotFile& file : plan.files) plan.total_bytes += file.bytes;
  plan.digest = snapshot_digest(plan.files);
  remember_digests(plan, objects);
  return plan;
}

void copy_snapshot(const SnapshotPlan& plan, const fs::path& snapshot, const fs::path& work) try {
  SnapshotPlan same = plan;
  copy_tree(same, snapshot, work, copy_checked);
} catch (const fs::filesystem_error& e) {
  throw Failure(as_environment_error(e));
}

}  // namespace lockstep
