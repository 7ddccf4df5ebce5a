// Run directories: claimed, recorded, cancelled. Their events are run_log.cpp's, what is read from them
// run_summary.cpp's.
#include "lockstep/core/run_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>

#include "lockstep/core/machine.h"
#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// A file name, host name or log line may hold any bytes: what is not UTF-8 is replaced, never a reason to fail.
std::string text_of(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// True: made. False: it was there.
bool make_directory(const fs::path& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return true;
  if (errno != EEXIST)
    fail_errno("cannot make the directory " + path.string(), "runs are kept below the workspace; is it writable?");
  return false;
}

std::string new_id(const std::string& experiment) {
  static thread_local std::random_device random;
  char suffix[40];
  std::snprintf(suffix, sizeof suffix, "_%lld_%08x", static_cast<long long>(unix_time()),
                static_cast<unsigned>(random()));
  return experiment + suffix;
}

using Before = std::function<void(const fs::path&)>;

constexpr std::string_view kStagedPrefix = ".new-";

// runs/EXPERIMENT/PREFIX+ID, made. Every run of one id begins with the same directory: who makes it has the id.
fs::path claim(const fs::path& folder, const std::string& prefix, const std::string& experiment, const Before& before) {
  for (int tries = 0; tries < 100; ++tries) {
    const std::string id = new_id(experiment);
    std::error_code ignored;
    if (fs::exists(folder / id, ignored)) continue;
    if (before) before(folder / (prefix + id));
    if (!make_directory(folder / (prefix + id))) continue;
    if (prefix.empty() || !fs::exists(folder / id, ignored)) return folder / (prefix + id);
    fs::remove(folder / (prefix + id), ignored);
  }
  fail(ErrorKind::internal, "100 run ids in " + folder.string() + " were taken already");
}

fs::path make_run(const Workspace& workspace, const std::string& experiment, std::string_view prefix,
                  const Before& before = {}) {
  if (!is_valid_name(experiment))
    fail(ErrorKind::usage, "\"" + experiment + "\" cannot name an experiment",
         "use letters, digits and . _ -, beginning with a letter or digit, at most 128", "experiment");
  make_directory(workspace.runs());
  make_directory(workspace.runs() / experiment);
  const fs::path path = claim(workspace.runs() / experiment, std::string(prefix), experiment, before);
  for (const char* folder : {contract::kOutputs, contract::kLogs, contract::kAttempts, contract::kControl})
    make_directory(path / folder);
  return path;
}

}  // namespace

Result<RunDirectory> RunDirectory::create(const Workspace& workspace, const std::string& experiment) try {
  return RunDirectory(make_run(workspace, experiment, ""));
} catch (const Failure& failure) {
  return failure.error();
}

Result<RunDirectory> RunDirectory::stage(const Workspace& workspace, const std::string& experiment,
                                         const Before& before) try {
  return RunDirectory(make_run(workspace, experiment, kStagedPrefix, before));
} catch (const Failure& failure) {
  return failure.error();
}

RunDirectory RunDirectory::publish() const {
  const fs::path place = path_.parent_path() / id();
  if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, place.c_str(), RENAME_NOREPLACE) != 0) {
    // File systems that know no such rename: nothing but a staged run of this id would have this name.
    if ((errno != EINVAL && errno != ENOSYS) || ::rename(path_.c_str(), place.c_str()) != 0)
      fail_errno("cannot move the new run to " + place.string());
  }
  sync_path(place.parent_path());
  return RunDirectory(place);
}

Result<RunDirectory> RunDirectory::open(const fs::path& directory) {
  std::error_code error;
  const fs::path path = fs::canonical(directory, error);
  const bool is_run = !error && fs::is_regular_file(path / "run.json", error);
  if (error == std::errc::permission_denied)
    return Error{ErrorKind::environment,
                 "cannot look into the run directory " + directory.string() + ": " + error.message(),
                 {},
                 "it belongs to another user: ask for the right to read it"};
  if (!is_run)
    return Error{ErrorKind::usage,
                 directory.string() + " is not a run directory: it has no run.json",
                 {},
                 "lockstep runs lists the runs of this workspace"};
  return RunDirectory(path);
}

std::string RunDirectory::id() const {
  const std::string name = path_.filename().string();
  return name.starts_with(kStagedPrefix) ? name.substr(kStagedPrefix.size()) : name;
}

std::string RunDirectory::experiment() const { return path_.parent_path().filename().string(); }

fs::path RunDirectory::attempt_directory(int attempt) const {
  char name[16];
  std::snprintf(name, sizeof name, "%03d", attempt);
  return path_ / contract::kAttempts / name;
}

void RunDirectory::write_record(const Json& record) const {
  const fs::path path = path_ / "run.json";
  if (fs::exists(path)) fail(ErrorKind::usage, "run.json is written once, and it is there already", {}, path.string());
  correct_record(record);
}

void RunDirectory::correct_record(const Json& record) const {
  publish_file(path_ / "run.json", text_of(record, 2) + "\n");
}

Json RunDirectory::record() const {
  const fs::path path = path_ / "run.json";
  Json record = Json::parse(read_file(path), nullptr, false);
  if (!record.is_object()) fail(ErrorKind::corrupt_data, "not a JSON object", {}, path.string());
  return record;
}

void RunDirectory::record_supervisor() const {
  const pid_t pid = ::getpid();
  const Json record{{"pid", pid}, {"host", host_name()}, {"start_time", process_start_time(pid).value_or(0)}};
  publish_file(path_ / "supervisor.json", text_of(record, -1) + "\n");
}

void RunDirectory::request_cancel(const std::string& who) const {
  if (cancel_requested()) return;
  const Json request{{"who", who}, {"time", unix_time()}};
  publish_file(path_ / contract::kControl / "cancel", text_of(request, -1) + "\n");
}

bool RunDirectory::is_removed() const {
  std::error_code ignored;
  return fs::status(path_ / "run.json", ignored).type() == fs::file_type::not_found;
}

bool RunDirectory::cancel_requested() const {
  std::error_code ignored;
  return fs::exists(path_ / contract::kControl / "cancel", ignored);
}

}  // namespace lockstep
