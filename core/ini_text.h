// The lines of an INI file. Syntax: core/README.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {

struct IniLine {
  std::string where;    // "job.ini:3"
  std::string section;  // "" above the first [section]
  std::string key;
  std::optional<std::string> value;  // absent: the line has no "="
  bool key_quoted = false;
  bool value_quoted = false;
};

// All lines that hold something. Usage error with file:line for a bad heading or quotation.
Result<std::vector<IniLine>> read_ini(std::string_view text, std::string_view file_name);

// `text` as it must stand in a file to be read as the same text: in quotation marks only where needed.
std::string ini_word(std::string_view text);
std::string ini_quoted(std::string_view text);

}  // namespace lockstep
