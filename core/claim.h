// One process at a time, by a small file: no file locks, so that it holds between hosts of a shared file system too.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "lockstep/core/error.h"

namespace lockstep {

// Who holds a claim, as its file tells it.
struct ClaimOwner {
  pid_t pid = 0;
  std::string host;
  std::uint64_t start_time = 0;  // of the process, in clock ticks since the host's boot
  double time = 0;               // when it was taken, seconds since 1970
  // On this host: the process is there. Elsewhere: the file was renewed within 30 s. A dead owner's claim is free.
  bool alive = false;

  std::string describe() const;  // "process 4711 on node07"
};

// Held while the object lives; given back by its destructor. A claim that its owner could not give back (kill -9, power
// cut) is taken over by the next that wants it. Of several that want it at once exactly one gets it. Not recursive: a
// process that holds a claim does not get it a second time. What a forked child inherits of one does not count.
class Claim {
 public:
  // Nothing when somebody else holds it. The directory of `file` must exist: Failure(environment) when it is not there
  // or cannot be written to.
  static std::optional<Claim> try_take(const std::filesystem::path& file);
  // Waits for it. Failure(environment) naming the owner when it is still held after patience_seconds.
  static Claim take(const std::filesystem::path& file, double patience_seconds);

  // A sign of life for other hosts: call it every few seconds when the claim is held longer. Failure(peer_lost) when
  // another process has taken it over, or somebody removed it: what the claim protects is then not ours any more.
  void renew();

  // Who holds or, when it died, held it; nothing when it is free.
  static std::optional<ClaimOwner> owner(const std::filesystem::path& file);

  Claim(Claim&& other) noexcept;
  Claim& operator=(Claim&&) = delete;
  ~Claim();

  const std::filesystem::path& file() const { return file_; }

 private:
  Claim(std::filesystem::path file, std::string content);
  bool is_ours() const;

  std::filesystem::path file_;
  std::string content_;  // unlike that of any other claim; empty: moved from
  pid_t pid_ = 0;
};

}  // namespace lockstep
