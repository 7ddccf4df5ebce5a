#include "lockstep/core/error.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <system_error>

namespace lockstep {

std::string Error::message() const {
  std::string text = where.empty() ? what : where + ": " + what;
  if (!hint.empty()) text += "\n  " + hint;
  return text;
}

int exit_code(ErrorKind kind) { return kind == ErrorKind::usage ? 2 : 1; }

namespace {
constexpr std::array<std::string_view, 5> kKindNames = {"usage", "environment", "peer_lost", "corrupt_data",
                                                        "internal"};
}

std::string_view error_kind_name(ErrorKind kind) { return kKindNames.at(static_cast<std::size_t>(kind)); }

std::optional<ErrorKind> parse_error_kind(std::string_view name) {
  for (std::size_t i = 0; i < kKindNames.size(); ++i) {
    if (kKindNames[i] == name) return static_cast<ErrorKind>(i);
  }
  return std::nullopt;
}

Failure::Failure(Error error) : error_(std::move(error)), message_(error_.message()) {}

void fail(ErrorKind kind, std::string what, std::string hint, std::string where) {
  throw Failure(Error{kind, std::move(what), std::move(where), std::move(hint)});
}

void fail_errno(std::string what, std::string hint, std::string where) {
  const int code = errno;
  fail(ErrorKind::environment, std::move(what) + ": " + std::generic_category().message(code), std::move(hint),
       std::move(where));
}

Error to_error(const std::exception& e) {
  if (const auto* failure = dynamic_cast<const Failure*>(&e)) return failure->error();
  return Error{ErrorKind::internal, e.what(), {}, {}};
}

}  // namespace lockstep
