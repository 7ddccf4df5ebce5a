// A window of the running loss, as plain numbers.
#pragma once

#include <cstdint>

namespace lockstep {

// Sums of one rank since the window began.
struct LossSums {
  double loss = 0;  // of all samples
  std::int64_t samples = 0;
};

}  // namespace lockstep
