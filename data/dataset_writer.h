// Writes a data set file from a stream of images, in constant memory.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lockstep/data/hdf5_file.h"
#include "lockstep/data/new_file.h"

namespace lockstep {

// What is known before the first image is read.
struct DatasetPlan {
  std::string name;  // "cifar10"
  std::vector<std::string> class_names;
  std::string source;                       // where the images came from, for people
  std::array<std::int64_t, 3> image_shape;  // C, H, W
  std::int64_t train_count = 0, test_count = 0;
};

class DatasetWriter {
 public:
  // Throws Failure: usage when `target` exists and replace is false, environment when it cannot be written.
  DatasetWriter(const std::filesystem::path& target, DatasetPlan plan, bool replace);

  // Samples [first, first + count) of a split ("train" or "test"), in any order of pieces; every sample exactly once.
  // images: count * C * H * W bytes, labels: count bytes, below the number of classes (the caller has checked).
  void write(const std::string& split, std::int64_t first, std::int64_t count, const std::uint8_t* images,
             const std::uint8_t* labels);

  // Digests, mean and standard deviation, close, fsync, rename: only now the target exists.
  void finish();

 private:
  void write_digests(const std::string& split);

  DatasetPlan plan_;
  NewFile place_;
  Hdf5File file_;
  // Exact sums over the training images, per channel; 2^64 holds 2.8e14 pixels' squares.
  std::vector<std::uint64_t> sums_, squares_;
};

}  // namespace lockstep
