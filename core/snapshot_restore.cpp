#include "lockstep/core/snapshot_restore.h"

#include <nlohmann/json.hpp>

#include "lockstep/core/object_store.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kList = "snapshot.json";

bool is_utf8(const std::string& text) {
  try {
    (void)Json(text).dump();
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

// A file may be called anything; JSON holds UTF-8 only.
void put_text(Json& json, const std::string& name, const std::string& text) {
  if (is_utf8(text)) {
    json[name] = text;
    return;
  }
  Json bytes = Json::array();
  for (const unsigned char c : text) bytes.push_back(c);
  json[name + "_bytes"] = std::move(bytes);
}

std::string get_text(const Json& json, const std::string& name) {
  const auto bytes = json.find(name + "_bytes");
  if (bytes == json.end()) return json.value(name, "");
  std::string text;
  for (const Json& one : *bytes) text += static_cast<char>(one.get<unsigned char>());
  return text;
}

std::vector<SnapshotFile> read_list(const RunDirectory& run) {
  const fs::path path = run.path() / kList;
  std::vector<SnapshotFile> files;
  try {
    const Json list = Json::parse(read_file(path));
    if (list.value("format", 1) > 1) fail(ErrorKind::environment, "made by a newer Lockstep", {}, path.string());
    for (const Json& entry : list.at("files")) {
      SnapshotFile file;
      file.path = get_text(entry, "path");
      file.bytes = entry.value("bytes", std::int64_t{0});
      file.executable = entry.value("executable", false);
      file.link_target = get_text(entry, "link");
      file.sha256 = entry.value("sha256", "");
      const fs::path normal = file.path.lexically_normal();
      if (normal.empty() || normal.is_absolute() || *normal.begin() == "..")
        fail(ErrorKind::corrupt_data, "names a file outside the snapshot", {}, path.string());
      files.push_back(std::move(file));
    }
  } catch (const Json::exception& e) {
    fail(ErrorKind::corrupt_data, std::string("not a list of files: ") + e.what(), {}, path.string());
  }
  return files;
}

// Of a run that has no list: what lies there must add up to what was recorded.
std::vector<SnapshotFile> look_for_files(const RunDirectory& run) {
  constexpr std::int64_t kNoLimit = std::int64_t{1} << 60;
  const SnapshotPlan plan = plan_snapshot(run.path() / "snapshot", kNoLimit, 10'000'000).value();
  const std::string digest = run.record().value("snapshot", Json::object()).value("digest", "");
  if (!digest.empty() && digest != plan.digest)
    fail(ErrorKind::corrupt_data, "the snapshot is not what was submitted", {}, (run.path() / "snapshot").string());
  return plan.files;
}

void restore_file(const SnapshotFile& file, const fs::path& from, const fs::path& to) {
  fs::create_directories(to.parent_path());
  if (!file.link_target.empty()) return fs::create_symlink(file.link_target, to);
  const ObjectStore::Content copied = copy_or_clone(from, to, file.executable ? 0700 : 0600);
  if (copied.sha256 != file.sha256)
    fail(ErrorKind::corrupt_data,
         "is not as it was submitted: its SHA-256 is " + copied.sha256 + ", recorded is " + file.sha256,
         "another run of the same code may have it whole", from.string());
}

void restore_files(const RunDirectory& run, const fs::path& destination, std::size_t& restored) {
  const fs::path snapshot = run.path() / "snapshot";
  std::error_code error;
  const bool has_list = fs::exists(run.path() / kList, error);
  for (const SnapshotFile& file : has_list ? read_list(run) : look_for_files(run)) {
    restore_file(file, snapshot / file.path, destination / file.path);
    ++restored;
  }
}

// What is in it, and itself when we made it.
void clear(const fs::path& destination, bool whole) {
  std::error_code ignored;
  if (whole) {
    fs::remove_all(destination, ignored);
    return;
  }
  for (const auto& entry : fs::directory_iterator(destination, ignored)) fs::remove_all(entry.path(), ignored);
}

}  // namespace

void record_snapshot(const SnapshotPlan& plan, const RunDirectory& run) {
  Json list{{"format", 1}, {"digest", plan.digest}, {"files", Json::array()}};
  for (const SnapshotFile& file : plan.files) {
    Json entry;
    put_text(entry, "path", file.path.string());
    if (file.link_target.empty()) {
      entry["bytes"] = file.bytes;
      entry["sha256"] = file.sha256;
      if (file.executable) entry["executable"] = true;
    } else {
      put_text(entry, "link", file.link_target);
    }
    list["files"].push_back(std::move(entry));
  }
  publish_file(run.path() / kList, list.dump(1) + "\n");
}

std::size_t restore_snapshot(const RunDirectory& run, const fs::path& destination) {
  const bool there = fs::exists(fs::symlink_status(destination));
  if (there && !fs::is_directory(destination))
    fail(ErrorKind::usage, "is not a directory", "name one that is empty, or not there yet", destination.string());
  if (there && !fs::is_empty(destination))
    fail(ErrorKind::usage, "is not empty", "name an empty directory, or one that is not there yet",
         destination.string());
  std::size_t restored = 0;
  try {
    fs::create_directories(destination);
    restore_files(run, destination, restored);
  } catch (const fs::filesystem_error& e) {
    clear(destination, !there);
    fail(ErrorKind::environment, e.code().message(), {}, e.path1().string());
  } catch (...) {
    clear(destination, !there);
    throw;
  }
  return restored;
}

void Run::restore_snapshot(const fs::path& destination) const {
  if (offline()) fail(ErrorKind::usage, "an offline run has no snapshot");
  lockstep::restore_snapshot(RunDirectory::open(directory()).value(), destination);
}

}  // namespace lockstep
