#include "lockstep/data/describe_dataset.h"

#include "lockstep/data/dataset_format.h"
#include "lockstep/data/file_digest.h"
#include "lockstep/data/hdf5_dataset.h"
#include "lockstep/data/hdf5_file.h"
#include "lockstep/data/progress.h"

namespace lockstep {
namespace {

namespace format = dataset_format;

std::string recorded(const Hdf5File& file, const std::string& split, const char* attribute) {
  const std::string group = format::group(split);
  return file.has_attribute(group, attribute) ? file.read_string(group, attribute) : "";
}

// train and test first, then others by name.
std::vector<std::string> split_names(const Hdf5File& file) {
  std::vector<std::string> names;
  for (const char* known : {format::kTrain, format::kTest}) {
    if (file.has(format::group(known))) names.emplace_back(known);
  }
  return names;
}

}  // namespace

Result<DatasetSummary> describe_dataset(const std::filesystem::path& path) try {
  DatasetSummary summary;
  const Hdf5File file = Hdf5File::open(path, ErrorKind::usage);
  summary.path = std::filesystem::absolute(path).lexically_normal();
  summary.bytes = static_cast<std::int64_t>(std::filesystem::file_size(path));
  if (file.has_attribute("/", "source")) summary.source = file.read_string("/", "source");
  std::vector<std::string> names = split_names(file);
  if (names.empty()) names.emplace_back(format::kTrain);  // its absence is then the error
  for (const std::string& name : names) {
    const Hdf5Dataset split = Hdf5Dataset::open(path, name).value();
    summary.name = split.name();
    summary.image_shape = split.image_shape();
    summary.class_names = split.class_names();
    summary.mean = split.mean();
    summary.std_deviation = split.std_deviation();
    summary.splits.push_back({name, split.count(), recorded(file, name, format::kImagesSha256),
                              recorded(file, name, format::kLabelsSha256)});
  }
  return summary;
} catch (const Failure& failure) {
  return failure.error();
}

std::string describe(const DatasetSummary& summary) {
  std::string text;
  for (const SplitSummary& split : summary.splits) {
    text += (text.empty() ? "" : " and ") + with_thousands(split.count) +
            (split.name == format::kTrain ? " training" : " test");
  }
  const auto [channels, height, width] = summary.image_shape;
  return text + " images of " + std::to_string(channels) + "x" + std::to_string(height) + "x" + std::to_string(width) +
         ", " + std::to_string(summary.class_names.size()) + " classes";
}

std::vector<std::string> verify_dataset(const std::filesystem::path& path, bool digests_optional) {
  const DatasetSummary summary = describe_dataset(path).value();
  const Hdf5File file = Hdf5File::open(path, ErrorKind::usage);
  std::vector<std::string> differences;
  const auto check = [&](const std::string& dataset, const std::string& expected) {
    if (expected.empty() && digests_optional) return;
    const Hdf5ArrayInfo info = file.array_info(dataset);
    const std::string found = sha256_of_range(path, info.offset, info.bytes);
    if (expected.empty())
      differences.push_back(dataset + ": no digest is recorded; found " + found);
    else if (found != expected)
      differences.push_back(dataset + ": SHA-256 is " + found + ", recorded is " + expected);
  };
  for (const SplitSummary& split : summary.splits) {
    check(format::images(split.name), split.images_sha256);
    check(format::labels(split.name), split.labels_sha256);
  }
  return differences;
}

}  // namespace lockstep
