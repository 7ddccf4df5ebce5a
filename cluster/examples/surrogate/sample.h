// What the solver finds out and the surrogate learns.
#pragma once

#include <array>

// A puff of smoke in a periodic unit square is carried by a wind and spreads by diffusion.
struct Weather {
  double diffusion = 0;           // 0.002 to 0.02
  double wind_x = 0, wind_y = 0;  // -0.5 to 0.5
};

constexpr int kCoarse = 8;  // the answer: means over 8 x 8 blocks of the square
struct Sample {
  Weather weather;
  std::array<double, kCoarse * kCoarse> smoke{};  // at time 0.5
};
