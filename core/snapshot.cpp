#include "lockstep/core/snapshot.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>

#include "lockstep/core/hash_cache.h"
#include "lockstep/core/ignore_rules.h"
#include "lockstep/core/sha256.h"
#include "lockstep/core/source_tree.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

// A home directory given by mistake is not walked to its end.
constexpr std::size_t kMostFilesWalked = 200'000;

std::string readable_bytes(std::int64_t bytes) {
  char text[32];
  if (bytes < 1000)
    std::snprintf(text, sizeof text, "%d B", static_cast<int>(bytes));
  else if (bytes < 1'000'000)
    std::snprintf(text, sizeof text, "%.1f kB", 1e-3 * static_cast<double>(bytes));
  else if (bytes < 1'000'000'000)
    std::snprintf(text, sizeof text, "%.1f MB", 1e-6 * static_cast<double>(bytes));
  else
    std::snprintf(text, sizeof text, "%.1f GB", 1e-9 * static_cast<double>(bytes));
  return text;
}

std::string ten_largest(std::vector<SnapshotFile> files) {
  const std::size_t count = std::min<std::size_t>(10, files.size());
  std::partial_sort(files.begin(), files.begin() + static_cast<std::ptrdiff_t>(count), files.end(),
                    [](const auto& a, const auto& b) {
                      return a.bytes != b.bytes ? a.bytes > b.bytes : a.path.native() < b.path.native();
                    });
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    char size[16];
    std::snprintf(size, sizeof size, "%10s", readable_bytes(files[i].bytes).c_str());
    text += std::string(size) + "  " + files[i].path.string() + "\n  ";
  }
  return text;
}

// The file or folder at the top of the tree that weighs most: by bytes, or by number of files.
std::string heaviest(const std::vector<SnapshotFile>& files, bool by_bytes) {
  std::map<std::string, std::int64_t> weight;
  for (const SnapshotFile& file : files) {
    const bool at_top = std::next(file.path.begin()) == file.path.end();
    weight[file.path.begin()->string() + (at_top ? "" : "/")] += by_bytes ? file.bytes : 1;
  }
  return std::max_element(weight.begin(), weight.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

Error too_large(const fs::path& source, const SourceTree& tree, std::int64_t bytes, std::int64_t limit_bytes,
                std::int64_t limit_files) {
  const auto count = static_cast<std::int64_t>(tree.files.size());
  const std::string file = tree.ignore_file.empty() ? ".lockstepignore" : tree.ignore_file;
  Error error{ErrorKind::usage, {}, source.string(), {}};
  error.what = "too large for a snapshot: " + std::string(tree.complete ? "" : "more than ") + readable_bytes(bytes) +
               " in " + std::to_string(count) + " files; the limits are " + readable_bytes(limit_bytes) +
               " (snapshot_limit_bytes) and " + std::to_string(limit_files) + " files (snapshot_limit_files)";
  error.hint = "the largest files:\n  " + ten_largest(tree.files) +
               "leave out what the ranks do not need, for example by the line " +
               ignore_line(heaviest(tree.files, bytes > limit_bytes)) + " in " + (source / file).string() +
               ", or raise the limit";
  return error;
}

}  // namespace

// One text per file that tells all that matters: no two different trees give the same sequence of them.
std::string snapshot_digest(const std::vector<SnapshotFile>& files) {
  Sha256 digest;
  for (const SnapshotFile& file : files) {
    const std::string kind = !file.link_target.empty() ? "link" : file.executable ? "program" : "file";
    const std::string& content = file.link_target.empty() ? file.sha256 : file.link_target;
    const std::string line = kind + '\0' + file.path.string() + '\0' + content + '\0';
    digest.update(line.data(), line.size());
  }
  return digest.hex();
}

Result<SnapshotPlan> plan_snapshot(const fs::path& source, std::int64_t limit_bytes, std::int64_t limit_files,
                                   const ObjectStore& objects) try {
  std::error_code error;
  SnapshotPlan plan;
  plan.source = fs::canonical(source, error);
  if (error || !fs::is_directory(plan.source, error))
    return Error{ErrorKind::usage, "source_directory " + source.string() + " is not a directory", {}, {}};
  SourceTree tree =
      list_source(plan.source, std::max<std::size_t>(kMostFilesWalked, static_cast<std::size_t>(limit_files) + 1));
  for (const SnapshotFile& file : tree.files) plan.total_bytes += file.bytes;
  if (plan.total_bytes > limit_bytes || static_cast<std::int64_t>(tree.files.size()) > limit_files)
    return too_large(plan.source, tree, plan.total_bytes, limit_bytes, limit_files);
  plan.ignore_file = std::move(tree.ignore_file);
  plan.notices = std::move(tree.notices);
  plan.files = std::move(tree.files);
  plan.looked_at = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  const HashCache known(objects.folder(), plan.source);
  for (SnapshotFile& file : plan.files) {
    if (!file.link_target.empty()) continue;
    file.stamp = file_stamp(plan.source / file.path);
    file.sha256 = known.find(file.path.string(), file.stamp);
    if (file.sha256.empty()) file.sha256 = sha256_file(plan.source / file.path);
  }
  plan.digest = snapshot_digest(plan.files);
  return plan;
} catch (const Failure& failure) {
  return failure.error();
}

}  // namespace lockstep
