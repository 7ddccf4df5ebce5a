#include "lockstep/distributed/session/start_up_clock.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

namespace lockstep {
namespace {

using Seconds = std::chrono::duration<double>;

// Field 22 of /proc/self/stat: clock ticks between the machine's boot and the start of the process (proc(5)). 0 where
// there is none.
double process_age() {
  std::ifstream file("/proc/self/stat");
  std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto after_name = text.rfind(')');  // the program's name may hold spaces and parentheses
  if (after_name == std::string::npos) return 0;
  std::istringstream fields(text.substr(after_name + 1));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  timespec now{};
  if (!fields || clock_gettime(CLOCK_BOOTTIME, &now) != 0) return 0;
  const double started = std::stod(field) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return std::max(0.0, static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec) - started);
}

}  // namespace

StartUpClock::StartUpClock() : process_age_(process_age()), made_(std::chrono::steady_clock::now()), last_(made_) {
  phases_.emplace_back("load", process_age_);
}

void StartUpClock::mark(std::string phase) {
  const auto now = std::chrono::steady_clock::now();
  phases_.emplace_back(std::move(phase), Seconds(now - last_).count());
  last_ = now;
}

double StartUpClock::since_process_start() const {
  return process_age_ + Seconds(std::chrono::steady_clock::now() - made_).count();
}

}  // namespace lockstep
