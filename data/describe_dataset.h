// What a data set file says about itself, and whether it is still what was written.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {

struct SplitSummary {
  std::string name;  // "train"
  std::int64_t count = 0;
  std::string images_sha256, labels_sha256;  // as recorded; empty where the file has none
};

struct DatasetSummary {
  std::filesystem::path path;  // absolute
  std::int64_t bytes = 0;      // of the file
  std::string name, source;
  std::array<std::int64_t, 3> image_shape{};  // C, H, W
  std::vector<std::string> class_names;
  std::vector<float> mean, std_deviation;
  std::vector<SplitSummary> splits;
};

// Reads attributes and shapes, and checks all that Hdf5Dataset::open checks, of every split. Usage error otherwise.
Result<DatasetSummary> describe_dataset(const std::filesystem::path& path);

// "60,000 training and 10,000 test images of 1x28x28, 10 classes".
std::string describe(const DatasetSummary& summary);

// Computes the digests of all images and labels anew. One line for each that differs from the recorded one and, unless
// digests are optional, for which none is recorded; empty when the file is sound. Throws Failure as describe_dataset,
// and environment when it cannot be read.
std::vector<std::string> verify_dataset(const std::filesystem::path& path, bool digests_optional = false);

}  // namespace lockstep
