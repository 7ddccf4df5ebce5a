// Made-up, repeatable images that a network can learn: for benchmarks and quick starts.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "lockstep/core/error.h"

namespace lockstep {

// "synthetic:1x28x28:10:60000": images of C x H x W bytes, classes, training samples; a sixth as many test samples.
struct SyntheticSpec {
  std::array<std::int64_t, 3> image_shape{};  // C, H, W
  std::int64_t classes = 0;                   // 2 to 256
  std::int64_t train_count = 0;
  std::int64_t test_count() const { return train_count < 6 ? 1 : train_count / 6; }
};

bool is_synthetic(std::string_view reference);  // begins with "synthetic:"
Result<SyntheticSpec> parse_synthetic(std::string_view reference);

// Writes the data set as an HDF5 file like any other: training reads it the same way. An image is the pattern of its
// class (blocks of 4x4 pixels) with one quarter noise; all of it follows from the sample's number. Throws Failure as
// importers do.
void write_synthetic(const SyntheticSpec& spec, const std::filesystem::path& output, bool replace);

}  // namespace lockstep
