// The supervisor's sign of life for readers on other hosts.
#pragma once

#include <chrono>
#include <filesystem>

namespace lockstep {

// control/supervisor_heartbeat: a counter, rewritten in place every few seconds. Readers judge by its change on their
// own clock or by the file's age; a full disk stops no run.
class Heartbeat {
 public:
  explicit Heartbeat(const std::filesystem::path& run_directory);
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  // Call it often: it writes every 3 s.
  void beat();

 private:
  int file_ = -1;
  long long count_ = 0;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace lockstep
