// Ignore files: any patterns, any path. The path follows the first NUL.
#include <cstdlib>
#include <string_view>

#include "lockstep/core/ignore_rules.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto end = text.find('\0');
  const lockstep::IgnoreRules rules(text.substr(0, end));
  const std::string_view path = end == std::string_view::npos ? "a/b.c" : text.substr(end + 1);
  const auto as_file = rules.verdict(path, false), as_folder = rules.verdict(path, true);
  // A pattern for folders only says nothing of files: whatever holds for a file was said of folders as well.
  if (as_file && !as_folder) std::abort();
  // The line that is made for a path leaves it out.
  const bool usual = !path.empty() && path.front() != '/' && path.back() != '/' &&
                     path.find_first_of("\n\r\0", 0, 3) == std::string_view::npos && path.find("//") == path.npos;
  if (usual && lockstep::IgnoreRules(lockstep::ignore_line(path)).verdict(path, false) != true) std::abort();
  return 0;
}
