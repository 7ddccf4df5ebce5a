// What the front of every subcommand has in common.
#pragma once

#include <iostream>
#include <string>
#include <string_view>

#include "lockstep/core/options.h"
#include "lockstep/core/run_store.h"
#include "lockstep/launchers/commands/commands.h"

namespace lockstep {

struct CommandText {
  std::string_view usage;     // "lockstep show RUN [options]"
  std::string_view about;     // a paragraph
  std::string_view examples;  // lines, each indented by two spaces
};

// Whether --help or -h stands before a "--".
bool asks_for_help(const Arguments& arguments);

void print_help(const CommandText& text, const OptionTableBase& table, const void* defaults);

// Parses `arguments` into `options`. Returns false when help was asked for and printed: the command is then over.
// `positional` gets the plain words: fewer than `least` or more than `most` of them is a usage error.
bool parse_arguments(const CommandText& text, const OptionTableBase& table, const Arguments& arguments, void* options,
                     std::vector<std::string>* positional, std::size_t least, std::size_t most);

// The workspace around the current directory. Throws Failure(usage) where there is none.
Workspace workspace_here();

// The run meant by `reference` in the workspace around the current directory. Throws Failure(usage).
RunDirectory run_by_reference(std::string_view reference);

// Prints with an indent of two and a newline; text that is not UTF-8 is made so.
void print_json(const nlohmann::ordered_json& json);

}  // namespace lockstep
