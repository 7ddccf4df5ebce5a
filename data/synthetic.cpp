#include "lockstep/data/synthetic.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "lockstep/data/dataset_format.h"
#include "lockstep/data/dataset_writer.h"
#include "lockstep/data/progress.h"

namespace lockstep {
namespace {

constexpr std::string_view kPrefix = "synthetic:";

// SplitMix64's output function: a number without visible relation to its argument.
constexpr std::uint64_t mix(std::uint64_t z) {
  z += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// The number at the front of `text` and the character after it are taken off; false when there are none.
bool take_number(std::string_view& text, char after, std::int64_t lowest, std::int64_t highest, std::int64_t& value) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || value < lowest || value > highest) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (after == '\0') return text.empty();
  if (text.empty() || text.front() != after) return false;
  text.remove_prefix(1);
  return true;
}

class SyntheticImages {
 public:
  explicit SyntheticImages(const SyntheticSpec& spec) : spec_(spec) {
    const auto [channels, height, width] = spec.image_shape;
    for (std::int64_t label = 0; label < spec.classes; ++label) {
      for (std::int64_t c = 0; c < channels; ++c) {
        for (std::int64_t y = 0; y < height; ++y) {
          for (std::int64_t x = 0; x < width; ++x) {
            const auto block = static_cast<std::uint64_t>(((label * channels + c) * 4096 + y / 4) * 4096 + x / 4);
            patterns_.push_back(static_cast<std::uint8_t>(mix(block)));
          }
        }
      }
    }
  }

  std::int64_t pixels() const { return static_cast<std::int64_t>(patterns_.size()) / spec_.classes; }

  // The image goes to `image`; returns the label.
  std::uint8_t make(std::int64_t sample, std::uint8_t* image) const {
    const std::uint64_t seed = mix(static_cast<std::uint64_t>(sample));
    const std::int64_t label = static_cast<std::int64_t>(seed % static_cast<std::uint64_t>(spec_.classes));
    const std::uint8_t* pattern = patterns_.data() + label * pixels();
    for (std::int64_t at = 0; at < pixels(); at += 8) {
      std::uint64_t noise = mix(seed + static_cast<std::uint64_t>(at));
      for (std::int64_t i = at; i < std::min(at + 8, pixels()); ++i, noise >>= 8) {
        image[i] = static_cast<std::uint8_t>((3 * pattern[i] + static_cast<int>(noise & 255)) / 4);
      }
    }
    return static_cast<std::uint8_t>(label);
  }

 private:
  const SyntheticSpec spec_;
  std::vector<std::uint8_t> patterns_;  // one image per class
};

}  // namespace

bool is_synthetic(std::string_view reference) { return reference.starts_with(kPrefix); }

Result<SyntheticSpec> parse_synthetic(std::string_view reference) {
  SyntheticSpec spec;
  auto& [channels, height, width] = spec.image_shape;
  std::string_view text = reference.substr(std::min(kPrefix.size(), reference.size()));
  const bool sound = is_synthetic(reference) && take_number(text, 'x', 1, 64, channels) &&
                     take_number(text, 'x', 1, 4096, height) && take_number(text, ':', 1, 4096, width) &&
                     take_number(text, ':', 2, 256, spec.classes) &&
                     take_number(text, '\0', 1, 1'000'000'000, spec.train_count);
  if (sound) return spec;
  return Error{ErrorKind::usage,
               "'" + std::string(reference) + "' does not describe made-up data",
               {},
               "write synthetic:CHANNELSxHEIGHTxWIDTH:CLASSES:SAMPLES, for example synthetic:1x28x28:10:60000 "
               "(up to 64x4096x4096, 2 to 256 classes)"};
}

void write_synthetic(const SyntheticSpec& spec, const std::filesystem::path& output, bool replace) {
  DatasetPlan plan{"synthetic", {}, "made up by Lockstep", spec.image_shape, spec.train_count, spec.test_count()};
  for (std::int64_t label = 0; label < spec.classes; ++label) plan.class_names.push_back(std::to_string(label));
  DatasetWriter writer(output, plan, replace);
  const SyntheticImages made(spec);
  const std::int64_t total = spec.train_count + spec.test_count();
  const std::int64_t piece = std::max<std::int64_t>(1, (1 << 20) / made.pixels());
  std::vector<std::uint8_t> images(static_cast<std::size_t>(piece * made.pixels())),
      labels(static_cast<std::size_t>(piece));
  Progress progress("making data", total, "images");
  for (std::int64_t sample = 0; sample < total;) {
    const bool train = sample < spec.train_count;
    const std::int64_t count = std::min(piece, (train ? spec.train_count : total) - sample);
    for (std::int64_t i = 0; i < count; ++i)
      labels[static_cast<std::size_t>(i)] = made.make(sample + i, images.data() + i * made.pixels());
    writer.write(train ? dataset_format::kTrain : dataset_format::kTest, train ? sample : sample - spec.train_count,
                 count, images.data(), labels.data());
    progress.update(sample += count);
  }
  writer.finish();
}

}  // namespace lockstep
