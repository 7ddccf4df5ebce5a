// How far a long piece of work is: a line that renews itself on a terminal, an occasional line elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace lockstep {

// "importing cifar10: 61% of 60,000 images, 120,000/s, 0:01 left" on standard error. Not thread-safe.
class Progress {
 public:
  // total: 0 when unknown. unit: "images".
  Progress(std::string label, std::int64_t total, std::string unit);
  ~Progress();  // ends the line on a terminal
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Throws Failure(environment) once interruption was requested, so that whoever works cleans up behind itself.
  void update(std::int64_t done);

  // Makes SIGINT and SIGTERM end the work at the next update() instead of the process at once; for programs.
  static void end_on_signals();

 private:
  using Clock = std::chrono::steady_clock;
  std::string line(std::int64_t done, double seconds) const;

  std::string label_, unit_;
  std::int64_t total_;
  bool terminal_;
  bool shown_ = false;
  Clock::time_point start_, last_;
};

// 1234567 as "1,234,567".
std::string with_thousands(std::int64_t number);

}  // namespace lockstep
