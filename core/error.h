// One Error, two ways to travel: planning returns it in a Result, doing throws it as a Failure.
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace lockstep {

// Decides the exit code, and whether a supervisor may try again.
enum class ErrorKind {
  usage,         // bad input: an option, a file the user wrote, data of the wrong shape. Exit code 2, never retried
  environment,   // the machine lacks something: a full disk, no GPU, a missing program. Exit code 1
  peer_lost,     // another rank died, hung or disagrees. Exit code 1
  corrupt_data,  // a file that Lockstep wrote or verified is damaged. Exit code 1
  internal,      // a bug in Lockstep. Exit code 1
};

struct Error {
  ErrorKind kind = ErrorKind::internal;
  std::string what;   // one sentence with both values: "world size is 1, expected 8 (2 nodes x 4 processes per node)"
  std::string where;  // "job.ini:3", "rank 0 on gpu03"; added by whoever knows, may be empty
  std::string hint;   // what to do about it; may be empty

  // "where: what\n  hint" as shown to people; the parts that are empty are left out.
  std::string message() const;
};

// The exit code a program ends with: 2 for usage, 1 for the rest.
int exit_code(ErrorKind kind);

// "usage", "environment", "peer_lost", "corrupt_data", "internal": as records spell the kind. Back: empty for any other
// word.
std::string_view error_kind_name(ErrorKind kind);
std::optional<ErrorKind> parse_error_kind(std::string_view name);

// Error as an exception. what() is Error::message().
class Failure : public std::exception {
 public:
  explicit Failure(Error error);
  const char* what() const noexcept override { return message_.c_str(); }
  const Error& error() const noexcept { return error_; }

 private:
  Error error_;
  std::string message_;
};

// Throws a Failure made of the parts; for call sites that have nothing to return.
[[noreturn]] void fail(ErrorKind kind, std::string what, std::string hint = {}, std::string where = {});

// The same with ": " and the text of the current errno appended to `what`.
[[noreturn]] void fail_errno(std::string what, std::string hint = {}, std::string where = {});

// Any exception as an Error: a Failure gives its own; anything else becomes ErrorKind::internal with its what().
Error to_error(const std::exception& e);

// A T or an Error, used as std::expected is. value() throws the Error as a Failure when there is no T.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit, as std::expected
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  explicit operator bool() const { return state_.index() == 0; }
  const T& value() const& { return check(), std::get<0>(state_); }
  T&& value() && { return check(), std::get<0>(std::move(state_)); }
  const T& operator*() const { return value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const { return std::get<1>(state_); }

 private:
  void check() const {
    if (state_.index() != 0) throw Failure(std::get<1>(state_));
  }
  std::variant<T, Error> state_;
};

}  // namespace lockstep
