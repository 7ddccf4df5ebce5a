#include "lockstep/core/ini_text.h"

#include <algorithm>
#include <cstddef>

namespace lockstep {
namespace {

constexpr std::string_view kBlanks = " \t\r\v\f";
constexpr std::string_view kHexDigits = "0123456789abcdef";

bool is_blank(char c) { return kBlanks.find(c) != std::string_view::npos; }
bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(kBlanks);
  return begin == std::string_view::npos ? std::string_view()
                                         : text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

// '#' begins a comment at the start of a text and after a blank: "colour = #fff" would be one, "issue#7" is not.
std::string_view without_comment(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '#' && (i == 0 || is_blank(text[i - 1]))) return text.substr(0, i);
  }
  return text;
}

// Takes "…" from the front of `text`, with \" \\ \n \t \r and \xHH inside. Absent: no closing mark, or another escape.
std::optional<std::string> take_quoted(std::string_view& text) {
  std::string value;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      text.remove_prefix(i + 1);
      return value;
    }
    if (text[i] != '\\') {
      value += text[i];
      continue;
    }
    const char escape = ++i < text.size() ? text[i] : '\0';
    if (escape == 'x' && i + 2 < text.size()) {
      const auto high = kHexDigits.find(text[i + 1]), low = kHexDigits.find(text[i + 2]);
      if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
      value += static_cast<char>(high * 16 + low);
      i += 2;
    } else if (const auto at = std::string_view("\"\\ntr").find(escape); at != std::string_view::npos) {
      value += std::string_view("\"\\\n\t\r")[at];
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

Error bad_line(const std::string& where, std::string what, std::string hint = {}) {
  return {ErrorKind::usage, std::move(what), where, std::move(hint)};
}

constexpr const char* kQuotingHint =
    "a text that begins with a quotation mark ends with one; write \\\" and \\\\ for the marks inside";

// "key = value", "key" or either in quotation marks.
std::optional<Error> read_entry(std::string_view text, IniLine& line) {
  if (text.front() == '"') {
    auto key = take_quoted(text);
    const bool ends_well = key && (trim(without_comment(text)).empty() || trim(text).front() == '=');
    if (!ends_well) return bad_line(line.where, "the quotation does not end where the name ends", kQuotingHint);
    line.key = *key;
    line.key_quoted = true;
    text = trim(text);
  } else {
    const std::string_view key = without_comment(text.substr(0, text.find('=')));  // "--fast  # a = b" has no value
    line.key = trim(key);
    text.remove_prefix(key.size());
  }
  if (text.empty() || text.front() != '=') return std::nullopt;
  text = trim(text.substr(1));
  if (text.empty() || text.front() != '"') {
    line.value = trim(without_comment(text));
    return std::nullopt;
  }
  line.value = take_quoted(text);
  line.value_quoted = true;
  if (line.value && trim(without_comment(text)).empty()) return std::nullopt;
  return bad_line(line.where, "the quotation does not end where the value ends", kQuotingHint);
}

}  // namespace

Result<std::vector<IniLine>> read_ini(std::string_view text, std::string_view file_name) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // the mark that some editors put first
  std::vector<IniLine> lines;
  std::string section;
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t length = std::min(text.find('\n'), text.size());
    const std::string_view content = trim(text.substr(0, length));
    text.remove_prefix(std::min(length + 1, text.size()));
    if (content.empty() || content.front() == '#') continue;

    IniLine line;
    line.where = std::string(file_name) + ":" + std::to_string(number);
    if (content.front() == '[') {
      const std::string_view heading = trim(without_comment(content));
      section = trim(heading.substr(1, heading.size() - 2));
      if (heading.back() != ']' || section.empty()) {
        return bad_line(line.where, "'" + std::string(content) + "' is not a heading: expected [name]");
      }
      continue;
    }
    line.section = section;
    if (auto error = read_entry(content, line)) return *error;
    if (line.key.empty() && !line.key_quoted)
      return bad_line(line.where, "'" + std::string(content) + "' has no name before the '='");
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string ini_quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto at = std::string_view("\"\\\n\t\r").find(c);
    if (at != std::string_view::npos) {
      quoted += '\\';
      quoted += std::string_view("\"\\ntr")[at];
    } else if (is_control(c)) {
      quoted += "\\x";
      quoted += kHexDigits[static_cast<unsigned char>(c) >> 4];
      quoted += kHexDigits[c & 15];
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string ini_word(std::string_view text) {
  const bool plain = trim(text) == text && !text.starts_with('"') && without_comment(text) == text &&
                     std::none_of(text.begin(), text.end(), is_control);
  return plain ? std::string(text) : ini_quoted(text);
}

}  // namespace lockstep
