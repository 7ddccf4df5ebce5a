// The subcommands of `lockstep data` (the program lockstep-data). Each takes the words after its name and returns the
// exit code; errors leave as Failure, which main() prints and turns into 2 (usage) or 1.
#pragma once

#include <string>
#include <vector>

#include "lockstep/core/dataset_registry.h"
#include "lockstep/core/options.h"

namespace lockstep {

using Arguments = std::vector<std::string>;

int import_command(const Arguments& arguments);
int fetch_command(const Arguments& arguments);
int register_command(const Arguments& arguments);
int list_command(const Arguments& arguments);
int show_command(const Arguments& arguments);
int verify_command(const Arguments& arguments);

// What every subcommand's front has in common.
struct CommandText {
  std::string usage;     // "lockstep data show NAME|FILE [options]"
  std::string about;     // a paragraph
  std::string examples;  // lines, each indented by two spaces
};

// Parses into `options`; false when help was asked for and printed. The number of plain words must lie in [least,
// most].
bool parse_arguments(const CommandText& text, const OptionTableBase& table, const Arguments& arguments, void* options,
                     std::vector<std::string>* words, std::size_t least, std::size_t most);

// A newly registered data set and what to type next.
void print_registered(const DatasetRecord& record);
// 55000000 as "55.0 MB".
std::string megabytes(std::int64_t bytes);

}  // namespace lockstep
