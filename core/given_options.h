// Options as they were typed, on their way into a config struct: the step that the command line and INI files share.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/core/options.h"

namespace lockstep {

struct GivenOption {
  const OptionEntry* entry = nullptr;
  std::string typed;  // "--node_count" or "node_count": as messages repeat it
  std::string text;
  std::string where;      // "command line" or "job.ini:3"
  bool no_value = false;  // "name =" in a file: a list of no elements
  // A line of a KeyValues' section: the key, which may hold an '=' or be empty, and the value where there is an "=".
  std::optional<std::pair<std::string, std::optional<std::string>>> pair = {};
};

// Sets every member that one source (a command line, a file) names, in the order given, and notes where from. What the
// struct held before yields: a list as a whole, of KeyValues the keys that are named again. Returns what is wrong, in
// the order given; the rest is set.
std::vector<Error> assign_options(const std::vector<GivenOption>& given, void* config,
                                  OptionTableBase::Origins& origins);

}  // namespace lockstep
