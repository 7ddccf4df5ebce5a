// A labelled data set in one HDF5 file; needs HDF5, not LibTorch.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {

// One split ("train" or "test") of a file. Layout: groups /train and /test, each with images [N, C, H, W] uint8
// contiguous and labels [N] uint8 or int64; attributes of the file: format "lockstep-dataset", format_version 1, name,
// class_names, mean [C], std [C] (of train images / 255), source, and per split the sha256 of images and of labels. The
// images are mapped read-only where they lie in the file: the ranks of a node share one copy, the page cache's.
class Hdf5Dataset {
 public:
  // Checking labels reads all of them. trusted: another rank of the node checks those of the same file at this moment,
  // and no sample is used before it has agreed.
  enum class Labels { checked, trusted };

  // Checks format, shapes, types, that no link or storage leads outside the file, that the file is as long as its
  // contents claim, and that every label is in [0, class_count). Usage error otherwise, with file and what was found.
  static Result<Hdf5Dataset> open(const std::filesystem::path& path, const std::string& split,
                                  Labels labels = Labels::checked);

  Hdf5Dataset(Hdf5Dataset&&) noexcept;
  Hdf5Dataset& operator=(Hdf5Dataset&&) noexcept;
  ~Hdf5Dataset();

  std::int64_t count() const;                       // N
  std::array<std::int64_t, 3> image_shape() const;  // C, H, W
  std::int64_t class_count() const;
  const std::vector<std::string>& class_names() const;
  const std::vector<float>& mean() const;  // per channel, of pixels / 255
  const std::vector<float>& std_deviation() const;
  const std::string& name() const;

  // sample: [0, N). C*H*W bytes, valid while this object lives.
  const std::uint8_t* image(std::int64_t sample) const;
  std::int64_t label(std::int64_t sample) const;

 private:
  struct State;
  explicit Hdf5Dataset(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
