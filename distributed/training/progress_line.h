// What the user reads while a training runs: pure functions from numbers to lines.
#pragma once

#include <cstdint>
#include <string>

namespace lockstep {

struct Progress {
  std::int64_t epoch = 0, epochs = 0;  // epoch: from 0; epochs: 0 when only steps are limited
  std::int64_t step = 0, total_steps = 0;
  double loss = 0;  // of the open window; NaN: none yet
  double samples_per_second = 0;
  double exposed_fraction = 0;  // of the time, waiting for other ranks
  double seconds_left = 0;
};

// "epoch 1/2  [======>         ]  41%  step 6150/15000  loss 1.83  5,120 samples/s  comm 3%  ETA 1:02", shortened from
// the right (and without the bar) until it fits `columns` - 1.
std::string progress_line(const Progress& progress, int columns);

// The tutorial's line: "epoch=1, batch= 2000: loss 2.19". epoch from 0.
std::string loss_line(std::int64_t epoch, std::int64_t batch, double loss);

// "0:07", "12:34", "3:02:01", "2 d 3:02:01"; "?" when it is not finite.
std::string duration_text(double seconds);

// 1234567 -> "1,234,567".
std::string grouped(std::int64_t number);

}  // namespace lockstep
