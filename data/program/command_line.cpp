#include <algorithm>
#include <cstdio>
#include <iostream>

#include "lockstep/data/program/commands.h"

namespace lockstep {

bool parse_arguments(const CommandText& text, const OptionTableBase& table, const Arguments& arguments, void* options,
                     std::vector<std::string>* words, std::size_t least, std::size_t most) {
  const auto end = std::find(arguments.begin(), arguments.end(), "--");
  const bool help =
      std::any_of(arguments.begin(), end, [](const std::string& word) { return word == "--help" || word == "-h"; });
  if (help) {
    std::cout << table.help(options, text.usage) << '\n' << text.about << "\n\nExamples:\n" << text.examples;
    return false;
  }
  table.parse_command_line(arguments, options, words).value();
  if (words->size() >= least && words->size() <= most) return true;
  const std::string expected =
      least == most ? std::to_string(least) : std::to_string(least) + " to " + std::to_string(most);
  fail(ErrorKind::usage, std::to_string(words->size()) + " names or paths were given, expected " + expected,
       "usage: " + text.usage);
}

std::string megabytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

void print_registered(const DatasetRecord& record) {
  std::cout << record.name << '@' << record.version << ": " << record.description << '\n'
            << "  file  " << record.path.string() << " (" << megabytes(record.bytes) << ")\n"
            << "  next  lockstep-train --data " << record.name << '\n';
}

}  // namespace lockstep
