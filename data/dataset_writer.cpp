#include "lockstep/data/dataset_writer.h"

#include <cmath>

#include "lockstep/data/dataset_format.h"
#include "lockstep/data/file_digest.h"

namespace lockstep {

namespace format = dataset_format;

DatasetWriter::DatasetWriter(const std::filesystem::path& target, DatasetPlan plan, bool replace)
    : plan_(std::move(plan)),
      place_(target, replace),
      file_(Hdf5File::create(place_.temporary())),
      sums_(static_cast<std::size_t>(plan_.image_shape[0])),
      squares_(sums_.size()) {
  const auto [channels, height, width] = plan_.image_shape;
  file_.write_string("/", "format", format::kFormat);
  file_.write_integer("/", "format_version", format::kVersion);
  file_.write_string("/", "name", plan_.name);
  file_.write_string("/", "source", plan_.source);
  file_.write_strings("/", "class_names", plan_.class_names);
  const auto add_split = [&](const std::string& split, std::int64_t count) {
    file_.create_group(format::group(split));
    file_.create_array(format::images(split), Hdf5Type::uint8, {count, channels, height, width});
    file_.create_array(format::labels(split), Hdf5Type::uint8, {count});
  };
  add_split(format::kTrain, plan_.train_count);
  add_split(format::kTest, plan_.test_count);
}

void DatasetWriter::write(const std::string& split, std::int64_t first, std::int64_t count, const std::uint8_t* images,
                          const std::uint8_t* labels) {
  file_.write_rows(format::images(split), first, count, images);
  file_.write_rows(format::labels(split), first, count, labels);
  if (split != format::kTrain) return;
  const auto [channels, height, width] = plan_.image_shape;
  const std::int64_t plane = height * width;
  for (std::int64_t at = 0; at < count * channels; ++at) {
    std::uint64_t sum = 0, square = 0;
    for (std::int64_t i = 0; i < plane; ++i) {
      const unsigned pixel = images[at * plane + i];
      sum += pixel;
      square += pixel * pixel;
    }
    sums_[static_cast<std::size_t>(at % channels)] += sum;
    squares_[static_cast<std::size_t>(at % channels)] += square;
  }
}

void DatasetWriter::finish() {
  const double pixels = static_cast<double>(plan_.train_count * plan_.image_shape[1] * plan_.image_shape[2]);
  std::vector<double> mean, deviation;
  for (std::size_t channel = 0; channel < sums_.size(); ++channel) {
    const double average = static_cast<double>(sums_[channel]) / pixels;
    const double variance = static_cast<double>(squares_[channel]) / pixels - average * average;
    mean.push_back(average / 255);
    // Images of one colour (up to rounding): any scale will do, but it must be finite.
    deviation.push_back(variance > 1e-9 ? std::sqrt(variance) / 255 : 1);
  }
  file_.write_numbers("/", "mean", mean);
  file_.write_numbers("/", "std", deviation);
  write_digests(format::kTrain);
  write_digests(format::kTest);
  file_.close();
  place_.publish();
}

// Read back rather than noted while writing: pieces may come in any order, and so what is hashed is what was written.
void DatasetWriter::write_digests(const std::string& split) {
  file_.flush();
  const auto digest = [&](const std::string& dataset) {
    const Hdf5ArrayInfo info = file_.array_info(dataset);
    return sha256_of_range(place_.temporary(), info.offset, info.bytes);
  };
  file_.write_string(format::group(split), format::kImagesSha256, digest(format::images(split)));
  file_.write_string(format::group(split), format::kLabelsSha256, digest(format::labels(split)));
}

}  // namespace lockstep
