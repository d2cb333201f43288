// Result<T>: a value, or an Error that says what the world did wrong (file, network, request,
// flags). Errors of our own making are CHECKs (check.h). No exception of ours crosses a folder.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "base/check.h"

namespace nibble {

// What kind of trouble it is. The number is the exit code of the program.
enum class ErrorKind {
  kFailure = 1,  // unknown architecture or type, unwritable output, prompt longer than the context
  kUsage =
      2,  // the request itself makes no sense: flags, output equal to input, a directory as model
  kNotFound = 3,       // a path that does not exist
  kInvalid = 4,        // malformed, truncated or contradictory input; verification failed
  kResource = 5,       // not enough disk or memory
  kInterrupted = 130,  // Ctrl-C
};

// `message` reads "[where] what was given; what is allowed; likely cause".
struct Error {
  ErrorKind kind = ErrorKind::kFailure;
  std::string message;
};

template <typename... Args>
Error make_error(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  return Error{kind, fmt::format(format, std::forward<Args>(args)...)};
}

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() {
    CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const {
    CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  T take() { return std::move(value()); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const {
    CHECK(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

// Success without a value, or an Error.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    CHECK(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace nibble

#define NIBBLE_CONCAT_INNER(a, b) a##b
#define NIBBLE_CONCAT(a, b) NIBBLE_CONCAT_INNER(a, b)

// RETURN_IF_ERROR(status): leaves the function with the error, if there is one.
#define RETURN_IF_ERROR(expression)                               \
  do {                                                            \
    if (auto nibble_status = (expression); !nibble_status.ok()) { \
      return nibble_status.error();                               \
    }                                                             \
  } while (false)

// ASSIGN_OR_RETURN(auto x, f()): x = the value of f(), or leave the function with its error.
#define ASSIGN_OR_RETURN(target, expression) \
  ASSIGN_OR_RETURN_INNER(NIBBLE_CONCAT(nibble_result_, __LINE__), target, expression)
#define ASSIGN_OR_RETURN_INNER(result, target, expression) \
  auto result = (expression);                              \
  if (!result.ok()) return result.error();                 \
  target = result.take()
