// What the doctor says: one line per thing looked at, each with a remedy where there is something to do.
#pragma once

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "lockstep/launchers/table.h"

namespace lockstep {

enum class Level { ok, warning, error };
std::string_view level_name(Level level);  // "ok", "warning", "error"

struct Finding {
  Level level = Level::ok;
  std::string area;    // "machine", "MPI", "NCCL", "links", "files", "Slurm"
  std::string text;    // what was found, with its numbers
  std::string remedy;  // what to do; empty where all is well
};
using Findings = std::vector<Finding>;

// A line each; remedies on lines of their own below.
void print(const Findings& findings, std::ostream& out, const TerminalStyle& style);
nlohmann::ordered_json to_json(const Findings& findings);
// 1 where something is an error, else 0.
int exit_code(const Findings& findings);

}  // namespace lockstep
