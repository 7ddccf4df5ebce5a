#include "lockstep/doctor/finding.h"

#include <algorithm>

namespace lockstep {
namespace {

Colour colour_of(Level level) {
  if (level == Level::error) return Colour::red;
  return level == Level::warning ? Colour::yellow : Colour::green;
}

std::string padded(std::string_view text, std::size_t width) {
  return std::string(text) + std::string(width - std::min(width, text.size()), ' ');
}

}  // namespace

std::string_view level_name(Level level) {
  if (level == Level::error) return "error";
  return level == Level::warning ? "warning" : "ok";
}

void print(const Findings& findings, std::ostream& out, const TerminalStyle& style) {
  for (const Finding& finding : findings) {
    out << coloured(padded(level_name(finding.level), 9), colour_of(finding.level), style) << padded(finding.area, 9)
        << printable(finding.text) << '\n';
    if (!finding.remedy.empty()) out << padded("", 18) << "-> " << printable(finding.remedy) << '\n';
  }
}

nlohmann::ordered_json to_json(const Findings& findings) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"level", level_name(finding.level)},
                    {"area", finding.area},
                    {"text", finding.text},
                    {"remedy", finding.remedy}});
  }
  return list;
}

int exit_code(const Findings& findings) {
  return std::any_of(findings.begin(), findings.end(), [](const Finding& f) { return f.level == Level::error; }) ? 1
                                                                                                                 : 0;
}

}  // namespace lockstep
