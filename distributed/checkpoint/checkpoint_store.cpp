#include "lockstep/distributed/checkpoint/checkpoint_store.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "lockstep/core/error.h"
#include "lockstep/core/publish.h"
#include "lockstep/data/hdf5_file.h"
#include "lockstep/distributed/checkpoint/temporary_name.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step_", kSuffix = ".h5", kTemporary = ".step_";
constexpr std::size_t kDigits = 10;

std::optional<std::int64_t> step_of(const std::string& name) {
  if (name.size() != kPrefix.size() + kDigits + kSuffix.size() || !name.starts_with(kPrefix) ||
      !name.ends_with(kSuffix))
    return {};
  std::int64_t step = 0;
  const char *first = name.data() + kPrefix.size(), *last = first + kDigits;
  const auto [end, error] = std::from_chars(first, last, step);
  return error == std::errc() && end == last && *first != '-' ? std::optional(step) : std::nullopt;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    names.push_back(entry->path().filename().string());
  if (error && error != std::errc::no_such_file_or_directory)
    fail(ErrorKind::environment, "cannot be listed: " + error.message(), {}, folder.string());
  return names;
}

void rename_or_fail(const fs::path& from, const fs::path& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0)
    fail_errno("cannot be renamed to " + to.filename().string(), {}, from.string());
}

}  // namespace

fs::path CheckpointStore::file_of(std::int64_t step) const {
  std::string digits = std::to_string(step);
  digits.insert(0, kDigits - std::min(kDigits, digits.size()), '0');
  return folder_ / (std::string(kPrefix) + digits + std::string(kSuffix));
}

std::vector<std::int64_t> CheckpointStore::steps() const {
  std::vector<std::int64_t> steps;
  for (const auto& name : names_in(folder_))
    if (const auto step = step_of(name)) steps.push_back(*step);
  std::sort(steps.begin(), steps.end());
  return steps;
}

void CheckpointStore::prepare() const {
  std::error_code error;
  fs::create_directories(folder_, error);
  const std::string hint = "make it a folder that this user may write to, or name another with --outputs";
  if (error) fail(ErrorKind::environment, "the outputs cannot be written: " + error.message(), hint, folder_.string());
  const fs::path probe = folder_ / ".probe";
  try {
    publish_file(probe, "probe");
  } catch (const Failure& failure) {
    fail(ErrorKind::environment, "the outputs cannot be written: " + failure.error().what, hint, folder_.string());
  }
  fs::remove(probe, error);
}

fs::path CheckpointStore::save(const Checkpoint& checkpoint) const {
  const fs::path path = file_of(checkpoint.step);
  const fs::path temporary = temporary_name(path);
  try {
    make_directories(folder_);
    std::error_code ignored;
    fs::remove(temporary, ignored);  // left by a killed process of the same number
    write_checkpoint(temporary, checkpoint);
    rename_or_fail(temporary, path);
    sync_path(folder_);
    publish_file(folder_ / "latest", path.filename().string() + "\n");
  } catch (const Failure& failure) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    Error error = failure.error();
    error.what = "the checkpoint of step " + std::to_string(checkpoint.step) + " could not be written: " + error.what;
    error.where = folder_.string();
    if (is_full_disk(error)) error.hint = "make room (df " + folder_.string() + ")";
    error.hint += std::string(error.hint.empty() ? "" : ", then ") +
                  "go on with --resume auto; checkpoints written before are unharmed";
    throw Failure(std::move(error));
  }
  prune();
  remove_abandoned_steps();
  return path;
}

void CheckpointStore::prune() const {
  std::error_code ignored;
  auto all = steps();
  for (std::size_t i = 0; i + static_cast<std::size_t>(keep_) < all.size(); ++i) fs::remove(file_of(all[i]), ignored);
}

// Of every step: an attempt that was killed may have been anywhere.
void CheckpointStore::remove_abandoned_steps() const {
  constexpr std::size_t kLength = kPrefix.size() + kDigits + kSuffix.size();
  for (const auto& name : names_in(folder_))
    if (name.starts_with(kTemporary)) remove_abandoned(folder_ / name.substr(1, kLength));
}

std::optional<CheckpointStore::Found> CheckpointStore::newest_valid(
    const std::function<void(const std::string&)>& warn) const {
  const auto all = steps();
  std::vector<fs::path> damaged;
  for (auto step = all.rbegin(); step != all.rend(); ++step) {
    const fs::path path = file_of(*step);
    try {
      Found found{path, read_checkpoint(path)};
      for (const fs::path& other : damaged) rename_or_fail(other, other.string() + ".damaged");
      return found;
    } catch (const Failure& failure) {
      if (failure.error().kind != ErrorKind::corrupt_data) throw;
      warn("damaged checkpoint, passed over: " + failure.error().message());
      damaged.push_back(
          path);  // keeps its name until a valid one is found: it must not look as if there had never been any
    }
  }
  if (all.empty()) return {};
  fail(ErrorKind::corrupt_data, "none of the " + std::to_string(all.size()) + " checkpoints is valid",
       "give --resume none to start from the beginning, or --resume with a checkpoint file kept elsewhere",
       folder_.string());
}

fs::path CheckpointStore::set_aside_after(std::int64_t step) const {
  fs::path aside;
  for (const std::int64_t other : steps()) {
    if (other <= step) continue;
    for (int n = 1; aside.empty(); ++n)
      if (fs::create_directory(folder_ / ("superseded_" + std::to_string(n))))
        aside = folder_ / ("superseded_" + std::to_string(n));
    rename_or_fail(file_of(other), aside / file_of(other).filename());
  }
  return aside;
}

}  // namespace lockstep
