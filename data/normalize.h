// Pixels to floats: torchvision's ToTensor and Normalize in one pass.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace lockstep {

// A channel knows only 256 pixels, so their values are worked out once: (pixel / 255 - mean) / std, each operation
// rounded to float32 as PyTorch does it. Bit for bit the same, which a multiply-add could not be, and a table in the
// first-level cache costs no more than the two divisions (data/README.md has the numbers).
class Normalizer {
 public:
  // mean, std_deviation: one value per channel, of pixels / 255.
  Normalizer(std::span<const float> mean, std::span<const float> std_deviation);
  // pixel / 255 alone.
  explicit Normalizer(std::int64_t channels);

  // image: [C, plane] bytes; values: [C, plane] floats. plane: height * width.
  void operator()(const std::uint8_t* image, std::int64_t plane, float* values) const;

 private:
  std::vector<std::array<float, 256>> tables_;
};

}  // namespace lockstep
