#include "lockstep/launchers/commands/command_line.h"

#include <nlohmann/json.hpp>

namespace lockstep {

bool asks_for_help(const Arguments& arguments) {
  for (const std::string& word : arguments) {
    if (word == "--") return false;
    if (word == "--help" || word == "-h") return true;
  }
  return false;
}

void print_help(const CommandText& text, const OptionTableBase& table, const void* defaults) {
  std::cout << table.help(defaults, text.usage) << '\n' << text.about << '\n';
  if (!text.examples.empty()) std::cout << "\nExamples:\n" << text.examples << '\n';
}

bool parse_arguments(const CommandText& text, const OptionTableBase& table, const Arguments& arguments, void* options,
                     std::vector<std::string>* positional, std::size_t least, std::size_t most) {
  if (asks_for_help(arguments)) {
    print_help(text, table, options);
    return false;
  }
  table.parse_command_line(arguments, options, positional).value();
  const std::size_t given = positional->size();
  if (given >= least && given <= most) return true;
  fail(ErrorKind::usage, given < least ? "something is missing" : "one word too many: " + (*positional)[most],
       "usage: " + std::string(text.usage));
}

Workspace workspace_here() { return Workspace::from_config().value(); }

RunDirectory run_by_reference(std::string_view reference) {
  return find_run(Workspace::from_config().value(), reference).value();
}

void print_json(const nlohmann::ordered_json& json) {
  std::cout << json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
}

}  // namespace lockstep
