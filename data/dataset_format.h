// The words of the data set format, written down once. data/README.md explains them.
#pragma once

#include <cstdint>
#include <string>

namespace lockstep::dataset_format {

inline constexpr const char* kFormat = "lockstep-dataset";
inline constexpr std::int64_t kVersion = 1;
inline constexpr const char* kTokenFormat = "lockstep-tokens";
inline constexpr std::int64_t kTokenVersion = 1;

// Groups of the file: its splits.
inline constexpr const char* kTrain = "train";
inline constexpr const char* kTest = "test";

inline std::string group(const std::string& split) { return "/" + split; }
inline std::string images(const std::string& split) { return "/" + split + "/images"; }
inline std::string tokens(const std::string& split) { return "/" + split + "/tokens"; }
inline std::string labels(const std::string& split) { return "/" + split + "/labels"; }

// Attributes of a split's group: digests of the bytes of images and labels as they lie in the file.
inline constexpr const char* kImagesSha256 = "images_sha256";
inline constexpr const char* kLabelsSha256 = "labels_sha256";

}  // namespace lockstep::dataset_format
