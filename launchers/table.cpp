#include "lockstep/launchers/table.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <ostream>

namespace lockstep {
namespace {

const char* escape_of(Colour colour) {
  switch (colour) {
    case Colour::red:
      return "\033[31m";
    case Colour::green:
      return "\033[32m";
    case Colour::yellow:
      return "\033[33m";
    case Colour::blue:
      return "\033[34m";
    case Colour::dim:
      return "\033[2m";
    case Colour::none:
      break;
  }
  return "";
}

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Bytes of the UTF-8 sequence at `position`; 0 when there is no valid one. (Surrogates and overlong forms of three and
// four bytes are let through: a terminal shows them as one replacement character.)
std::size_t sequence_length(std::string_view text, std::size_t position) {
  const auto first = static_cast<unsigned char>(text[position]);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xC2 ? 0
                             : first < 0xE0 ? 2
                             : first < 0xF0 ? 3
                             : first < 0xF5 ? 4
                                            : 0;
  if (length == 0 || position + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if (!is_continuation(text[position + i])) return 0;
  return length;
}

std::string cut(const std::string& text, std::size_t width) {
  if (text_width(text) <= width) return text;
  std::size_t bytes = 0;
  for (std::size_t shown = 0; bytes < text.size() && shown + 1 < width; ++shown)
    bytes += std::max<std::size_t>(1, sequence_length(text, bytes));
  return text.substr(0, bytes) + "…";
}

std::string format(const char* pattern, double value) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

}  // namespace

TerminalStyle TerminalStyle::of(int descriptor) {
  if (!::isatty(descriptor)) return {};
  TerminalStyle style;
  const char* term = std::getenv("TERM");
  const char* no_colour = std::getenv("NO_COLOR");
  style.colours = term && std::strcmp(term, "dumb") != 0 && !(no_colour && *no_colour);
  winsize size{};
  const char* columns = std::getenv("COLUMNS");
  if (columns && std::atoi(columns) > 0)
    style.width = std::atoi(columns);
  else if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0)
    style.width = size.ws_col;
  return style;
}

void Table::add(std::vector<Cell> row) {
  row.resize(columns_.size(), Cell(""));
  for (Cell& cell : row) cell.text = printable(cell.text);
  rows_.push_back(std::move(row));
}

void Table::print(std::ostream& out, const TerminalStyle& style) const {
  std::vector<std::size_t> widths;
  std::vector<Cell> titles;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = text_width(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, text_width(row[i].text));
    widths.push_back(width);
    titles.emplace_back(columns_[i].title, Colour::dim);
  }
  out << line(titles, widths, style);
  for (const auto& row : rows_) out << line(row, widths, style);
}

std::string Table::line(const std::vector<Cell>& row, const std::vector<std::size_t>& widths,
                        const TerminalStyle& style) const {
  std::string text;
  std::size_t used = 0;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const bool last = i + 1 == row.size();
    const bool narrow = last && style.width > 0 && static_cast<std::size_t>(style.width) > used + 8;
    const std::string shown = narrow ? cut(row[i].text, style.width - used) : row[i].text;
    const std::string padding(widths[i] - std::min(widths[i], text_width(shown)), ' ');
    if (columns_[i].right) text += padding;
    text += coloured(shown, row[i].colour, style);
    if (!last) text += (columns_[i].right ? "" : padding) + "  ";
    used += widths[i] + 2;
  }
  return text + '\n';
}

std::string coloured(std::string_view text, Colour colour, const TerminalStyle& style) {
  if (!style.colours || colour == Colour::none) return std::string(text);
  return escape_of(colour) + std::string(text) + "\033[0m";
}

std::size_t text_width(std::string_view text) {
  return text.size() - std::count_if(text.begin(), text.end(), is_continuation);
}

std::string printable(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = sequence_length(text, i);
    const auto first = static_cast<unsigned char>(text[i]);
    const bool control = length == 1 && (first < 0x20 || first == 0x7F);
    // U+0080 to U+009F are control characters too.
    const bool control_c1 = length == 2 && first == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (length == 0 || control || control_c1)
      result += '?';
    else
      result.append(text, i, length);
    i += std::max<std::size_t>(1, length);
  }
  return result;
}

std::string format_duration(double seconds) {
  seconds = std::max(0.0, seconds);
  if (seconds < 9.95) return format("%.1f s", seconds);
  const auto whole = static_cast<long long>(std::llround(seconds));
  const auto pair = [](long long large, const char* large_unit, long long small, const char* small_unit) {
    return std::to_string(large) + large_unit + std::to_string(small) + small_unit;
  };
  if (whole < 60) return std::to_string(whole) + " s";
  if (whole < 3600) return pair(whole / 60, " min ", whole % 60, " s");
  if (whole < 86400) return pair(whole / 3600, " h ", whole / 60 % 60, " min");
  return pair(whole / 86400, " d ", whole / 3600 % 24, " h");
}

std::string format_bytes(std::uintmax_t bytes) {
  static constexpr const char* kUnits[] = {" KiB", " MiB", " GiB", " TiB", " PiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1023.95 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return format("%.1f", value) + kUnits[unit];
}

std::string format_time(double seconds_since_1970) {
  if (seconds_since_1970 <= 0) return "-";
  const auto whole = static_cast<std::time_t>(seconds_since_1970);
  std::tm parts{};
  ::localtime_r(&whole, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

}  // namespace lockstep
