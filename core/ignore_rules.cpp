#include "lockstep/core/ignore_rules.h"

#include <algorithm>

namespace lockstep {
namespace {

// Blanks at the end do not count, unless a \ stands before them.
std::string_view without_trailing_blanks(std::string_view line) {
  std::size_t end = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\') {
      i = std::min(i + 1, line.size() - 1);
      end = i + 1;
    } else if (line[i] != ' ') {
      end = i + 1;
    }
  }
  return line.substr(0, end);
}

}  // namespace

IgnoreRules::IgnoreRules(std::string_view text) {
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);  // a byte order mark
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (!line.empty() && line.front() != '#') add_line(without_trailing_blanks(line));
  }
}

void IgnoreRules::add_line(std::string_view line) {
  const bool keeps = !line.empty() && line.front() == '!';
  if (keeps) line.remove_prefix(1);
  const bool directories_only = !line.empty() && line.back() == '/';
  if (directories_only) line.remove_suffix(1);
  const bool name_only = line.find('/') == std::string_view::npos;
  if (!line.empty() && line.front() == '/') line.remove_prefix(1);
  if (!line.empty()) rules_.push_back({!keeps, directories_only, name_only, Glob(line, !name_only)});
}

std::optional<bool> IgnoreRules::verdict(std::string_view path, bool is_directory) const {
  const std::string_view name = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  for (auto rule = rules_.rbegin(); rule != rules_.rend(); ++rule) {
    if (rule->directories_only && !is_directory) continue;
    if (rule->glob.matches(rule->name_only ? name : path)) return rule->leaves_out;
  }
  return {};
}

std::string ignore_line(std::string_view path) {
  std::string line = "/";
  for (std::size_t i = 0; i < path.size(); ++i) {
    const bool last_blank = path[i] == ' ' && i + 1 == path.size();
    if (last_blank || std::string_view("*?[\\").find(path[i]) != std::string_view::npos) line += '\\';
    line += path[i];
  }
  return line;
}

}  // namespace lockstep
