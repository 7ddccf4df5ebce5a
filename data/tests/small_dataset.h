// Data sets small enough to reason about.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lockstep/data/dataset_writer.h"

namespace lockstep::testing {

// Pixel `at` of sample `sample`: another value for every pair, as far as bytes go.
inline std::uint8_t small_pixel(std::int64_t sample, std::int64_t at) {
  return static_cast<std::uint8_t>((sample * 131 + at * 37 + sample * at) % 251 + 3);
}
inline std::uint8_t small_label(std::int64_t sample, std::int64_t classes) {
  return static_cast<std::uint8_t>((sample * 7 + 2) % classes);
}

struct SmallDataset {
  std::int64_t train_count = 23, test_count = 5, classes = 7;
  std::array<std::int64_t, 3> shape{2, 3, 5};

  // Test samples carry on the numbers after the training samples.
  void write(const std::filesystem::path& path) const {
    DatasetPlan plan{"small", {}, "made up", shape, train_count, test_count};
    for (std::int64_t i = 0; i < classes; ++i) plan.class_names.push_back("class " + std::to_string(i));
    DatasetWriter writer(path, plan, false);
    const auto split = [&](const char* name, std::int64_t first, std::int64_t count) {
      std::vector<std::uint8_t> images, labels;
      for (std::int64_t sample = first; sample < first + count; ++sample) {
        for (std::int64_t at = 0; at < shape[0] * shape[1] * shape[2]; ++at) images.push_back(small_pixel(sample, at));
        labels.push_back(small_label(sample, classes));
      }
      writer.write(name, 0, count, images.data(), labels.data());
    };
    split("train", 0, train_count);
    split("test", train_count, test_count);
    writer.finish();
  }
};

}  // namespace lockstep::testing
