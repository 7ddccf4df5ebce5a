// Where the time between the start of the process and the first step goes.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

// Phases in the order in which they ended; each lasts from the end of the one before. The first, "load", begins when
// the kernel started the process: loading LibTorch's libraries is the larger part of a start.
class StartUpClock {
 public:
  StartUpClock();

  // Ends the current phase under this name.
  void mark(std::string phase);

  // Name and seconds of each phase.
  const std::vector<std::pair<std::string, double>>& phases() const { return phases_; }
  // Seconds since the process was started.
  double since_process_start() const;

 private:
  double process_age_ = 0;  // seconds from the process's start to the clock's making
  std::chrono::steady_clock::time_point made_, last_;
  std::vector<std::pair<std::string, double>> phases_;
};

}  // namespace lockstep
