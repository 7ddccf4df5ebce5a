// The help text of an option table.
#include <algorithm>
#include <cstddef>

#include "lockstep/core/options.h"

namespace lockstep {
namespace {

constexpr std::size_t kPageWidth = 110;
constexpr std::size_t kWidestName = 38;  // a longer name gets a line of its own

std::string left_side(const OptionEntry& entry) {
  std::string text = "  --" + entry.name;
  if (!entry.value_name.empty()) text += " " + entry.value_name;
  return text;
}

std::string default_note(const OptionEntry& entry, const void* defaults) {
  std::string values;
  for (const std::string& value : entry.get(defaults)) values += (values.empty() ? "" : " ") + value;
  if (entry.is_switch && values == "true") return " (default: true; --" + entry.name + "=false turns it off)";
  const bool shown = !values.empty() && !entry.is_switch;
  if (entry.repeated) return shown ? " (repeatable; default: " + values + ")" : " (repeatable)";
  return shown ? " (default: " + values + ")" : "";
}

// Appends `text`, broken at blanks so that no line passes the page's width; the first line goes on where `page` ends.
void append_wrapped(std::string& page, std::string_view text, std::size_t indent) {
  std::size_t column = indent;
  while (!text.empty()) {
    const std::size_t length = std::min(text.find(' '), text.size());
    if (column > indent && column + 1 + length > kPageWidth) {
      page += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      page += ' ';
      ++column;
    }
    page += text.substr(0, length);
    column += length;
    text.remove_prefix(std::min(length + 1, text.size()));
  }
  page += '\n';
}

}  // namespace

std::string OptionTableBase::help(const void* defaults, std::string_view usage) const {
  std::size_t width = 0;
  for (const OptionEntry& entry : entries_) {
    if (const auto length = left_side(entry).size(); length <= kWidestName) width = std::max(width, length);
  }
  std::string page = "usage: " + std::string(usage) + "\n";
  const std::string* group = nullptr;
  for (const OptionEntry& entry : entries_) {
    if (group == nullptr || *group != entry.group)
      page += "\n" + (entry.group.empty() ? "Options" : entry.group) + "\n";
    group = &entry.group;
    const std::string left = left_side(entry);
    page += left;
    page += left.size() <= width ? std::string(width - left.size() + 2, ' ') : "\n" + std::string(width + 2, ' ');
    append_wrapped(page, entry.help + default_note(entry, defaults), width + 2);
  }
  return page;
}

}  // namespace lockstep
