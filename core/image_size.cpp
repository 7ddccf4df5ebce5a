#include "lockstep/core/image_size.h"

#include <cstddef>

namespace lockstep {
namespace {

int byte_at(std::string_view bytes, std::size_t at) { return static_cast<unsigned char>(bytes[at]); }

int big_endian(std::string_view bytes, std::size_t at, std::size_t count) {
  int value = 0;
  for (std::size_t i = 0; i < count; ++i) value = value << 8 | byte_at(bytes, at + i);
  return value;
}

std::optional<ImageSize> sound(ImageSize size) {
  constexpr int kLargest = 1 << 20;
  const bool good = size.width > 0 && size.width <= kLargest && size.height > 0 && size.height <= kLargest;
  return good ? std::optional(size) : std::nullopt;
}

// Signature, then the chunk IHDR: width, height, depth, colour type.
std::optional<ImageSize> png_size(std::string_view file) {
  if (file.size() < 26 || file.substr(12, 4) != "IHDR" || byte_at(file, 16) > 0x7F || byte_at(file, 20) > 0x7F)
    return std::nullopt;
  constexpr int kChannels[] = {1, 0, 3, 3, 2, 0, 4};  // by colour type; 3 is a palette of RGB
  const int colour = byte_at(file, 25);
  if (colour > 6 || kChannels[colour] == 0) return std::nullopt;
  return sound({big_endian(file, 16, 4), big_endian(file, 20, 4), kChannels[colour]});
}

// Segments, up to the one that starts the frame (SOF0 … SOF15, but those that define tables).
std::optional<ImageSize> jpeg_size(std::string_view file) {
  std::size_t at = 2;
  while (at + 4 <= file.size() && byte_at(file, at) == 0xFF) {
    const int marker = byte_at(file, at + 1);
    if (marker == 0xFF) {  // filler
      ++at;
      continue;
    }
    const bool frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (frame && at + 10 <= file.size())
      return sound({big_endian(file, at + 7, 2), big_endian(file, at + 5, 2), byte_at(file, at + 9)});
    if (frame || marker == 0xD9 || marker == 0xDA) return std::nullopt;
    at += 2 + static_cast<std::size_t>(big_endian(file, at + 2, 2));
  }
  return std::nullopt;
}

}  // namespace

std::optional<ImageSize> image_size(std::string_view file) {
  if (file.starts_with("\x89PNG\r\n\x1a\n")) return png_size(file);
  if (file.starts_with("\xFF\xD8\xFF")) return jpeg_size(file);
  return std::nullopt;
}

}  // namespace lockstep
