// Tables for people: aligned columns; colours and cutting to the width only on a terminal.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

enum class Colour { none, red, green, yellow, blue, dim };

// How a stream is to be written to. Of a pipe or file: no colours, no width.
struct TerminalStyle {
  bool colours = false;
  int width = 0;  // columns; 0: unlimited

  // Of a descriptor: a terminal with TERM other than "dumb" and without NO_COLOR gets colours, COLUMNS or its size is
  // the width.
  static TerminalStyle of(int descriptor);
};

struct Column {
  std::string title;
  bool right = false;  // numbers
};

struct Cell {
  Cell(std::string text_, Colour colour_ = Colour::none)
      : text(std::move(text_)), colour(colour_) {}  // NOLINT: implicit
  Cell(const char* text_) : text(text_) {}          // NOLINT
  std::string text;
  Colour colour = Colour::none;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // One cell per column. Control characters are shown as '?': a run's command must not drive the terminal.
  void add(std::vector<Cell> row);
  // Titles, then the rows. Only the last column is cut (with "…") when the terminal is too narrow.
  void print(std::ostream& out, const TerminalStyle& style) const;

 private:
  std::string line(const std::vector<Cell>& row, const std::vector<std::size_t>& widths,
                   const TerminalStyle& style) const;
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

std::string coloured(std::string_view text, Colour colour, const TerminalStyle& style);

// Columns a UTF-8 text takes on a terminal, counting a code point as one.
std::size_t text_width(std::string_view text);

// Without control characters, and valid UTF-8: what is wrong becomes '?'.
std::string printable(std::string_view text);

// 42 -> "42 s", 95 -> "1 min 35 s", 7325 -> "2 h 2 min", 200000 -> "2 d 7 h". 1.5 -> "1.5 s".
std::string format_duration(double seconds);
// 1536 -> "1.5 KiB".
std::string format_bytes(std::uintmax_t bytes);
// Local time, "2026-03-01 14:05:09"; "-" for 0.
std::string format_time(double seconds_since_1970);

}  // namespace lockstep
