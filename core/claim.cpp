#include "lockstep/core/claim.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>
#include <utility>

#include "lockstep/core/file_descriptor.h"
#include "lockstep/core/machine.h"
#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_store.h"
#include "lockstep/core/sha256.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr double kSilenceSeconds = 30;
constexpr std::size_t kLimitBytes = 4096;

// The nonce makes each taking of a claim a thing of its own, by which a takeover names the owner it replaces.
std::string new_content() {
  static thread_local std::random_device random;
  char nonce[17];
  std::snprintf(nonce, sizeof nonce, "%08x%08x", static_cast<unsigned>(random()), static_cast<unsigned>(random()));
  const Json json{{"format", 1},         {"pid", ::getpid()},
                  {"host", host_name()}, {"start_time", process_start_time(::getpid()).value_or(0)},
                  {"time", unix_time()}, {"nonce", nonce}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// Nothing when there is no such file. Claims come and go at any moment: what one call sees is told by that call alone.
std::optional<std::string> content_of(const fs::path& file) {
  const FileDescriptor opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!opened && errno == ENOENT) return {};
  if (!opened) fail_errno("cannot read " + file.string());
  std::string content(kLimitBytes, '\0');
  std::size_t length = 0;
  for (ssize_t got = 1; got > 0 && length < content.size(); length += static_cast<std::size_t>(got)) {
    do got = ::read(opened.get(), content.data() + length, content.size() - length);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == ESTALE) return {};  // NFS: removed while it was read
    if (got < 0) fail_errno("cannot read " + file.string());
  }
  content.resize(length);
  return content;
}

double silence_seconds(const fs::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return 0;
  return unix_time() - static_cast<double>(status.st_mtim.tv_sec) - 1e-9 * static_cast<double>(status.st_mtim.tv_nsec);
}

ClaimOwner owner_of(const fs::path& file, const std::string& content) {
  ClaimOwner owner;
  const Json json = Json::parse(content, nullptr, false);
  try {
    owner.pid = json.value("pid", 0);
    owner.host = json.value("host", "");
    owner.start_time = json.value("start_time", std::uint64_t{0});
    owner.time = json.value("time", 0.0);
  } catch (const Json::exception&) {
    owner = {};  // damaged: its age alone counts
  }
  owner.alive = owner.host == host_name() ? process_start_time(owner.pid) == owner.start_time
                                          : silence_seconds(file) < kSilenceSeconds;
  return owner;
}

// Puts our content in place of the dead owner's. Those who want to do so exclude each other by a claim on exactly this
// takeover; who gets it looks again, and whoever comes later finds another owner.
bool take_over(const fs::path& file, const std::string& dead, const std::string& ours) {
  const fs::path name = "." + file.filename().string() + ".from-" + sha256(dead).substr(0, 16);
  const auto right = Claim::try_take(file.parent_path() / name);
  if (!right || content_of(file) != dead) return false;
  publish_file(file, ours);
  return true;
}

}  // namespace

std::string ClaimOwner::describe() const {
  return host.empty() ? "an unknown process" : "process " + std::to_string(pid) + " on " + host;
}

Claim::Claim(fs::path file, std::string content)
    : file_(std::move(file)), content_(std::move(content)), pid_(::getpid()) {}

Claim::Claim(Claim&& other) noexcept
    : file_(std::move(other.file_)), content_(std::exchange(other.content_, {})), pid_(other.pid_) {}

bool Claim::is_ours() const {
  try {
    return content_of(file_) == content_;
  } catch (const Failure&) {
    return false;
  }
}

Claim::~Claim() {
  if (content_.empty() || pid_ != ::getpid() || !is_ours()) return;
  ::unlink(file_.c_str());
}

std::optional<Claim> Claim::try_take(const fs::path& file) {
  const std::string ours = new_content();
  const fs::path path = fs::absolute(file);
  if (publish_new_file(path, ours)) return Claim(path, ours);
  const auto theirs = content_of(path);
  if (!theirs)
    return publish_new_file(path, ours) ? std::optional(Claim(path, ours)) : std::nullopt;  // just given back
  if (owner_of(path, *theirs).alive || !take_over(path, *theirs, ours)) return {};
  return Claim(path, ours);
}

Claim Claim::take(const fs::path& file, double patience_seconds) {
  const auto begin = Clock::now();
  for (double pause = 0.002;; pause = std::min(0.1, pause * 1.5)) {
    if (auto claim = try_take(file)) return std::move(*claim);
    const double left = patience_seconds - std::chrono::duration<double>(Clock::now() - begin).count();
    if (left <= 0) break;
    std::this_thread::sleep_for(std::chrono::duration<double>(std::min(left, pause)));
  }
  const auto holder = owner(file);
  fail(ErrorKind::environment,
       file.string() + " is held by " + (holder ? holder->describe() : "changing processes") + ", waited " +
           std::to_string(static_cast<long long>(patience_seconds)) + " s for it",
       "wait for that process, or end it: what it holds is then free");
}

void Claim::renew() {
  if (!is_ours())
    fail(ErrorKind::peer_lost, "the claim " + file_.string() + " was taken over or removed while it was held",
         "a process on another host saw no sign of life for 30 s; do clocks and the file system agree?", host_name());
  if (::utimensat(AT_FDCWD, file_.c_str(), nullptr, 0) != 0) fail_errno("cannot renew " + file_.string());
}

std::optional<ClaimOwner> Claim::owner(const fs::path& file) {
  const auto content = content_of(file);
  if (!content) return {};
  return owner_of(file, *content);
}

}  // namespace lockstep
