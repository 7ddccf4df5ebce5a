#include "lockstep/data/normalize.h"

// One copy of the loop for each width of vector registers; the loader of the program picks the widest that the machine
// has. Division is exact to the last bit in all of them.
#if defined(__x86_64__) && defined(__GNUC__)
#define LOCKSTEP_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define LOCKSTEP_CLONES
#endif

namespace lockstep {
namespace {

LOCKSTEP_CLONES void normalize_plane(const std::uint8_t* __restrict pixels, std::int64_t count, float mean,
                                     float deviation, float* __restrict values) {
  for (std::int64_t i = 0; i < count; ++i) values[i] = (static_cast<float>(pixels[i]) / 255.0F - mean) / deviation;
}

constexpr std::int64_t kCacheLine = 64;

}  // namespace

void normalize_image(const std::uint8_t* image, std::int64_t plane, std::span<const float> mean,
                     std::span<const float> std_deviation, float* values) {
  for (std::size_t channel = 0; channel < mean.size(); ++channel) {
    normalize_plane(image, plane, mean[channel], std_deviation[channel], values);
    image += plane;
    values += plane;
  }
}

void prefetch_image(const std::uint8_t* image, std::int64_t bytes) {
  for (std::int64_t at = 0; at < bytes; at += kCacheLine) __builtin_prefetch(image + at);
}

}  // namespace lockstep
