// Small pictures for TensorBoard, drawn without any library.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep {

struct ConfusionMatrix;

// 8-bit RGB, row by row from the top.
struct Picture {
  int width = 0, height = 0;
  std::vector<std::uint8_t> pixels;  // width * height * 3

  Picture(int width_, int height_);  // white
  void fill(int left, int top, int wide, int high, std::uint32_t rgb);
  // Digits, '.', '-', '+', 'e' and '%' of 3x5 dots, each dot `scale` pixels wide. Other characters are a space.
  void write(int left, int top, const std::string& text, std::uint32_t rgb, int scale);
};
int text_pixels(const std::string& text, int scale);  // the width of such a text

// A PNG file; its data are not compressed.
std::string encode_png(const Picture& picture);

// Rows: true classes, columns: predicted ones, both numbered from 0. A cell is the bluer the greater its share of its
// row, and holds its number where there is room.
Picture draw(const ConfusionMatrix& matrix);

}  // namespace lockstep
