// Pixels to floats: torchvision's ToTensor and Normalize in one pass.
#pragma once

#include <cstdint>
#include <span>

namespace lockstep {

// values[c][i] = (image[c][i] / 255 - mean[c]) / std_deviation[c], each operation rounded to float32, as PyTorch does
// it: bit for bit the same, which a multiply-add would not be. image: [C, plane] bytes, values: [C, plane] floats,
// plane: height * width; C is the size of mean and std_deviation. With mean 0 and deviation 1 the result is pixel / 255
// exactly.
void normalize_image(const std::uint8_t* image, std::int64_t plane, std::span<const float> mean,
                     std::span<const float> std_deviation, float* values);

// Starts to fetch an image of `bytes` bytes into the cache: in shuffled order the next one lies anywhere in memory.
void prefetch_image(const std::uint8_t* image, std::int64_t bytes);

}  // namespace lockstep
