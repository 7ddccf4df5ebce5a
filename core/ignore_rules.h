// What an ignore file leaves out, in the whole syntax of .gitignore.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/core/glob.h"

namespace lockstep {

class IgnoreRules {
 public:
  // The text of one ignore file. Its patterns hold below the folder that the file is in.
  explicit IgnoreRules(std::string_view text);

  // What the last pattern that matches says: true left out, false (a ! pattern) kept, nothing when none matches.
  // path: relative to the ignore file's folder, "/" between names. A link to a folder is not a folder.
  // The caller does not descend into a folder that is left out: nothing in it can be brought back.
  std::optional<bool> verdict(std::string_view path, bool is_directory) const;

 private:
  struct Rule {
    bool leaves_out = true;
    bool directories_only = false;
    bool name_only = false;  // no slash in the pattern: compared with the last name of the path
    Glob glob;
  };
  void add_line(std::string_view line);
  std::vector<Rule> rules_;
};

// The line that leaves out exactly `path` (relative, with "/" at its end for a folder).
std::string ignore_line(std::string_view path);

}  // namespace lockstep
