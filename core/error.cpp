#include "lockstep/core/error.h"

#include <cerrno>
#include <cstring>

namespace lockstep {

std::string Error::message() const {
  std::string text = where.empty() ? what : where + ": " + what;
  if (!hint.empty()) text += "\n  " + hint;
  return text;
}

int exit_code(ErrorKind kind) { return kind == ErrorKind::usage ? 2 : 1; }

Failure::Failure(Error error) : error_(std::move(error)), message_(error_.message()) {}

void fail(ErrorKind kind, std::string what, std::string hint, std::string where) {
  throw Failure(Error{kind, std::move(what), std::move(where), std::move(hint)});
}

void fail_errno(std::string what, std::string hint, std::string where) {
  const int code = errno;
  fail(ErrorKind::environment, std::move(what) + ": " + std::strerror(code), std::move(hint), std::move(where));
}

Error to_error(const std::exception& e) {
  if (const auto* failure = dynamic_cast<const Failure*>(&e)) return failure->error();
  return Error{ErrorKind::internal, e.what(), {}, {}};
}

}  // namespace lockstep
