// config.json, read key by key. Whatever a family does not ask for and is not known to be without
// effect is refused by name in the end: a key may change the arithmetic.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace nibble {

// The first violation is kept; values that are absent and null are the same.
class HfConfig {
 public:
  // `object` must outlive the reader.
  HfConfig(const nlohmann::json& object, std::string where);

  // An integer in [low, high]. Absent: `fallback`, or an error when that is negative.
  int64_t integer(std::string_view key, int64_t low, int64_t high, int64_t fallback = -1);
  // A number in [low, high]. Absent: `fallback`, or an error when that is NaN.
  double number(std::string_view key, double low, double high, double fallback);
  // Absent: nullopt.
  std::optional<double> optional_number(std::string_view key, double low, double high);
  bool flag(std::string_view key, bool fallback);
  std::string text(std::string_view key, std::string_view fallback);
  // Positive numbers; absent: empty.
  std::vector<float> numbers(std::string_view key, size_t max_count);
  // The value, which counts as read; null when absent.
  const nlohmann::json* find(std::string_view key);

  // The key is absent, or one of these; anything else is refused: it would change the arithmetic.
  void expect_text(std::string_view key, std::initializer_list<std::string_view> allowed);
  void expect_flag(std::string_view key, bool allowed);
  void expect_number(std::string_view key, double allowed);
  // Keys without effect on the arithmetic.
  void ignore(std::initializer_list<std::string_view> keys);

  void fail(Error error);
  // kFailure for something nibble does not run.
  void refuse(std::string_view key, std::string_view allowed);
  bool ok() const { return !error_.has_value(); }
  const std::string& where() const { return where_; }
  // The first violation, or the keys that nobody asked for.
  Status finish();

 private:
  const nlohmann::json& object_;
  std::string where_;
  std::set<std::string, std::less<>> read_;
  std::optional<Error> error_;
};

}  // namespace nibble
