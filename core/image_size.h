// What kind of picture a file is, by its first bytes.
#pragma once

#include <optional>
#include <string_view>

namespace lockstep {

struct ImageSize {
  int width = 0, height = 0;
  int channels = 0;  // 1 grey, 2 grey with alpha, 3 RGB, 4 RGBA
};

// Of a PNG or JPEG file. Nothing: it is neither, or it ends before its size is told.
std::optional<ImageSize> image_size(std::string_view file);

}  // namespace lockstep
