#include "lockstep/core/error_list.h"

#include <algorithm>

namespace lockstep {
namespace {

std::string indented(const std::string& text) {
  std::string result;
  for (const char c : text) result += c == '\n' ? std::string("\n     ") : std::string(1, c);
  return result;
}

}  // namespace

Error combine(const std::vector<Error>& errors) {
  if (errors.size() == 1) return errors.front();
  Error all;
  all.kind =
      std::any_of(errors.begin(), errors.end(), [](const Error& error) { return error.kind == ErrorKind::usage; })
          ? ErrorKind::usage
          : errors.front().kind;
  all.what = std::to_string(errors.size()) + " problems:";
  for (std::size_t i = 0; i < errors.size(); ++i)
    all.what += "\n  " + std::to_string(i + 1) + ". " + indented(errors[i].message());
  return all;
}

}  // namespace lockstep
