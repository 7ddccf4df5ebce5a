// requirements.txt, as pip reads it: the lines that count, each checked as far as that needs no network.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {

// Comments and blank lines are gone, continued lines joined, "-r FILE" and "-c FILE" replaced by that file's lines (-r)
// or refused (-c). Addresses ("name @ https://…", "-e git+https://…") and options ("--index-url …") stay as they are.
// Usage error with file:line: a file that cannot be read or lies outside the folder of `file`, files that include each
// other, a path ("./library", "-e ."): it would not be part of the definition; a line that begins like no requirement.
Result<std::vector<std::string>> read_requirements(const std::filesystem::path& file);

// One line's package name in pip's spelling ("scikit-learn"; lower case, runs of -_. as one '-'); "" for an option.
std::string package_name(std::string_view requirement);

// "" or what is wrong with one requirement: "torch==2.1", "name[extra]>=1; python_version > '3.8'", "name @ address".
std::string requirement_problem(std::string_view requirement);

}  // namespace lockstep
