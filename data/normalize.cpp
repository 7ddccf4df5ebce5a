#include "lockstep/data/normalize.h"

namespace lockstep {

Normalizer::Normalizer(std::span<const float> mean, std::span<const float> std_deviation) : tables_(mean.size()) {
  for (std::size_t channel = 0; channel < tables_.size(); ++channel) {
    for (int pixel = 0; pixel < 256; ++pixel) {
      const float scaled = static_cast<float>(pixel) / 255.0F;
      const float centred = scaled - mean[channel];
      tables_[channel][static_cast<std::size_t>(pixel)] = centred / std_deviation[channel];
    }
  }
}

Normalizer::Normalizer(std::int64_t channels) : tables_(static_cast<std::size_t>(channels)) {
  for (auto& table : tables_) {
    for (int pixel = 0; pixel < 256; ++pixel)
      table[static_cast<std::size_t>(pixel)] = static_cast<float>(pixel) / 255.0F;
  }
}

void Normalizer::operator()(const std::uint8_t* image, std::int64_t plane, float* values) const {
  for (const auto& table : tables_) {
    for (std::int64_t i = 0; i < plane; ++i) values[i] = table[image[i]];
    image += plane;
    values += plane;
  }
}

}  // namespace lockstep
