#include "lockstep/core/plot_png.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string_view>

#include "lockstep/core/metric_values.h"

namespace lockstep {
namespace {

void append_big_endian(std::string& bytes, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xFF);
}

// CRC-32 of ISO 3309, as PNG has it; crc32c.h has another polynomial.
std::uint32_t crc32(std::string_view bytes) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> entries{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value & 1) != 0 ? 0xEDB88320u ^ value >> 1 : value >> 1;
      entries[i] = value;
    }
    return entries;
  }();
  std::uint32_t crc = ~0u;
  for (const char c : bytes) crc = table[(crc ^ static_cast<unsigned char>(c)) & 0xFF] ^ crc >> 8;
  return ~crc;
}

std::uint32_t adler32(std::string_view bytes) {
  std::uint32_t a = 1, b = 0;
  for (const char c : bytes) {
    a = (a + static_cast<unsigned char>(c)) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

std::string chunk(const std::string& type, const std::string& content) {
  std::string bytes;
  append_big_endian(bytes, static_cast<std::uint32_t>(content.size()));
  bytes += type + content;
  append_big_endian(bytes, crc32(type + content));
  return bytes;
}

// A zlib stream of stored blocks.
std::string stored(const std::string& bytes) {
  constexpr std::size_t kLongest = 65535;
  std::string stream = "\x78\x01";
  for (std::size_t at = 0; at == 0 || at < bytes.size(); at += kLongest) {
    const std::size_t length = std::min(kLongest, bytes.size() - at);
    stream += at + length == bytes.size() ? '\1' : '\0';
    for (const std::size_t word : {length, ~length}) {
      stream += static_cast<char>(word & 0xFF);
      stream += static_cast<char>(word >> 8 & 0xFF);
    }
    stream.append(bytes, at, length);
  }
  append_big_endian(stream, adler32(bytes));
  return stream;
}

// 3x5 dots, five rows of three bits from the top.
constexpr std::string_view kGlyphs = "0123456789.-+e%";
constexpr std::uint16_t kDots[] = {
    0b111'101'101'101'111, 0b010'110'010'010'111, 0b111'001'111'100'111, 0b111'001'111'001'111, 0b101'101'111'001'001,
    0b111'100'111'001'111, 0b111'100'111'101'111, 0b111'001'010'010'010, 0b111'101'111'101'111, 0b111'101'111'001'111,
    0b000'000'000'000'010, 0b000'000'111'000'000, 0b000'010'111'010'000, 0b000'111'101'110'011, 0b101'001'010'100'101};

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, std::floor(value) == value && std::abs(value) < 1e6 ? "%.0f" : "%.2g", value);
  return text;
}

}  // namespace

Picture::Picture(int width_, int height_)
    : width(width_),
      height(height_),
      pixels(static_cast<std::size_t>(width_) * static_cast<std::size_t>(height_) * 3, 255) {}

void Picture::fill(int left, int top, int wide, int high, std::uint32_t rgb) {
  for (int y = std::max(top, 0); y < std::min(top + high, height); ++y) {
    for (int x = std::max(left, 0); x < std::min(left + wide, width); ++x) {
      const std::size_t at =
          (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)) * 3;
      for (int i = 0; i < 3; ++i)
        pixels[at + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(rgb >> (16 - 8 * i));
    }
  }
}

void Picture::write(int left, int top, const std::string& text, std::uint32_t rgb, int scale) {
  for (const char c : text) {
    const std::size_t glyph = kGlyphs.find(c);
    for (int dot = 0; glyph != std::string_view::npos && dot < 15; ++dot) {
      if ((kDots[glyph] >> (14 - dot) & 1) != 0) fill(left + dot % 3 * scale, top + dot / 3 * scale, scale, scale, rgb);
    }
    left += 4 * scale;
  }
}

int text_pixels(const std::string& text, int scale) { return (static_cast<int>(text.size()) * 4 - 1) * scale; }

std::string encode_png(const Picture& picture) {
  std::string header;
  append_big_endian(header, static_cast<std::uint32_t>(picture.width));
  append_big_endian(header, static_cast<std::uint32_t>(picture.height));
  header += std::string("\x08\x02\0\0\0", 5);  // 8 bits, RGB, not interlaced
  std::string rows;
  const auto length = static_cast<std::size_t>(picture.width) * 3;
  for (std::size_t at = 0; at < picture.pixels.size(); at += length) {
    rows += '\0';  // no filter
    rows.append(reinterpret_cast<const char*>(picture.pixels.data()) + at, length);
  }
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + chunk("IDAT", stored(rows)) + chunk("IEND", "");
}

Picture draw(const ConfusionMatrix& matrix) {
  const int classes = static_cast<int>(matrix.values.size());
  const int scale = classes <= 20 ? 2 : 1;
  const int cell = classes <= 20 ? 40 : classes <= 100 ? 12 : 4;
  const int margin = 24;
  Picture picture(margin + classes * cell + 1, margin + classes * cell + 1);
  for (int i = 0; i < classes; ++i) {
    const auto& row = matrix.values[static_cast<std::size_t>(i)];
    double sum = 0;
    for (const double value : row) sum += std::isfinite(value) ? std::abs(value) : 0;
    if (cell >= 12) {
      const std::string number = std::to_string(i);
      picture.write(margin - 4 - text_pixels(number, scale), margin + i * cell + (cell - 5 * scale) / 2, number, 0,
                    scale);
      picture.write(margin + i * cell + (cell - text_pixels(number, scale)) / 2, margin - 4 - 5 * scale, number, 0,
                    scale);
    }
    for (int j = 0; j < classes; ++j) {
      const double value = row[static_cast<std::size_t>(j)];
      const double share = sum > 0 && std::isfinite(value) ? std::abs(value) / sum : 0;
      const auto fade = [&](int deepest) {
        return static_cast<std::uint32_t>(std::lround(255 - share * (255 - deepest)));
      };
      const int left = margin + j * cell, top = margin + i * cell;
      picture.fill(left, top, cell, cell, 0xD0D0D0);
      picture.fill(left + 1, top + 1, cell - 1, cell - 1, fade(0x1F) << 16 | fade(0x4E) << 8 | fade(0x9C));
      const std::string number = short_number(value);
      if (text_pixels(number, scale) <= cell - 4)
        picture.write(left + (cell - text_pixels(number, scale) + 1) / 2, top + (cell - 5 * scale) / 2, number,
                      share > 0.5 ? 0xFFFFFF : 0x202020, scale);
    }
  }
  return picture;
}

}  // namespace lockstep
