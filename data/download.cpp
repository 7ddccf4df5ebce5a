#include "lockstep/data/download.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <system_error>
#include <thread>

#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/sha256.h"
#include "lockstep/data/file_digest.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr int kMostFailuresInARow = 5;

// curl's exit codes: man curl, "EXIT CODES".
constexpr int kHttpError = 22, kCannotWrite = 23, kCannotResume = 33, kSignal = 128;

// A failure that may pass: no connection, a connection that broke, a time-out.
bool may_pass(int code) {
  for (const int passing : {5, 6, 7, 18, 28, 35, 52, 55, 56, 92}) {
    if (code == passing) return true;
  }
  return false;
}

std::int64_t size_of(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : static_cast<std::int64_t>(size);
}

int run_curl(const std::string& address, const fs::path& part) {
  ProcessSpec curl;
  curl.argv = {"curl", "--fail",        "--location", "--proto",      "=http,https", "--connect-timeout",
               "30",   "--speed-limit", "100",        "--speed-time", "60",          "--continue-at",
               "-",    "--output",      part.string()};
  // On a terminal curl's own bar tells how far it is; elsewhere only errors are worth a line.
  if (isatty(STDERR_FILENO) == 1)
    curl.argv.emplace_back("--progress-bar");
  else
    curl.argv.insert(curl.argv.end(), {"--silent", "--show-error"});
  curl.argv.insert(curl.argv.end(), {"--", address});
  curl.die_with_parent = true;
  const auto pid = start_process(curl);
  if (!pid) {
    fail(ErrorKind::environment, "the program curl, which downloads files, cannot be started: " + pid.error().what,
         "install it (Debian: apt-get install curl), or fetch the file yourself and give --from PATH");
  }
  return wait_process(*pid).code;
}

[[noreturn]] void give_up(const std::string& address, const fs::path& part, int code) {
  const std::string kept = size_of(part) > 0 ? "the same command goes on after the " + std::to_string(size_of(part)) +
                                                   " bytes that are here; "
                                             : "";
  const bool interrupted = code > kSignal;
  if (code == kCannotWrite)
    fail(ErrorKind::environment, "its data cannot be written (curl ended with code " + std::to_string(code) + ")",
         kept + "make room on the disk of " + part.parent_path().string(), address);
  fail(ErrorKind::environment,
       interrupted ? "the download was interrupted"
                   : "cannot be downloaded (curl ended with code " + std::to_string(code) + ")",
       kept + "check the connection, or give --from with a mirror's address or a local path", address);
}

// Until curl says that all is there. A server that cannot continue, or has no more bytes to give than the part file
// holds, is asked for the whole file once.
void fetch_part(const std::string& address, const fs::path& part) {
  bool from_scratch = size_of(part) == 0;
  for (int failures = 0; failures < kMostFailuresInARow;) {
    const std::int64_t before = size_of(part);
    const int code = run_curl(address, part);
    if (code == 0) return;
    if (code > kSignal) give_up(address, part, code);
    if (!from_scratch && (code == kCannotResume || code == kHttpError)) {
      fs::remove(part);
      from_scratch = true;
      continue;
    }
    if (!may_pass(code)) give_up(address, part, code);
    failures = size_of(part) > before ? 0 : failures + 1;
    from_scratch = false;
    if (failures == kMostFailuresInARow) give_up(address, part, code);
    std::this_thread::sleep_for(std::chrono::milliseconds(250) * (1 << failures >> 1));  // 0, 0.25, 0.5, 1, 2 s
  }
}

}  // namespace

std::string check_digest(const fs::path& file, const ExpectedDigest& expected) {
  const auto differs = [](const char* kind, const std::string& found, const std::string& wanted) {
    return found == wanted ? std::string() : std::string(kind) + " is " + found + ", expected " + wanted;
  };
  if (!expected.sha256.empty()) return differs("SHA-256", sha256_file(file), expected.sha256);
  if (!expected.md5.empty()) return differs("MD5", md5_file(file), expected.md5);
  return {};
}

void download(const std::string& address, const fs::path& target, const ExpectedDigest& expected) {
  if (!address.starts_with("https://") && !address.starts_with("http://")) {
    fail(ErrorKind::usage, "is not an address that begins with https:// or http://", {}, address);
  }
  if (fs::exists(target) && expected.given() && check_digest(target, expected).empty()) return;
  make_directories(target.parent_path());
  const fs::path part = target.string() + ".part";
  const bool resumed = size_of(part) > 0;
  std::fprintf(stderr, "%s %s\n", resumed ? "going on with" : "downloading", address.c_str());
  // Complete already, when only the rename was missing: servers answer a request for no more bytes in many ways.
  const bool complete = resumed && expected.given() && check_digest(part, expected).empty();
  if (!complete) fetch_part(address, part);
  std::string difference = check_digest(part, expected);
  if (!difference.empty() && resumed) {  // the server's file may have changed since the first part came
    fs::remove(part);
    fetch_part(address, part);
    difference = check_digest(part, expected);
  }
  if (!difference.empty()) {
    fs::remove(part);
    fail(ErrorKind::corrupt_data, "was downloaded, but its " + difference,
         "try again; for a mirror with other files give the digest it publishes with --md5 or --sha256", address);
  }
  sync_path(part);
  fs::rename(part, target);
}

}  // namespace lockstep
