#include "model/config.h"

#include <cmath>

namespace nibble {

ConfigReader::ConfigReader(const GgufMetadata& metadata, std::string architecture,
                           std::string where)
    : metadata_(metadata), architecture_(std::move(architecture)), where_(std::move(where)) {}

void ConfigReader::fail(Error error) {
  if (!error_) error_ = std::move(error);
}

int64_t ConfigReader::checked(std::string_view key, const std::optional<int64_t>& value,
                              int64_t low, int64_t high) {
  if (!value || *value < low || *value > high) {
    fail(make_error(ErrorKind::kInvalid,
                    "[{}] {} is {}; {} to {} is allowed; the file is damaged or "
                    "of a kind nibble does not know",
                    where_, full_key(key), value ? std::to_string(*value) : "no integer", low,
                    high));
    return low;
  }
  return *value;
}

int64_t ConfigReader::integer(std::string_view key, int64_t low, int64_t high, int64_t fallback) {
  const GgufValue* value = metadata_.find(full_key(key));
  if (value == nullptr) {
    if (fallback >= 0) return fallback;
    fail(make_error(ErrorKind::kInvalid,
                    "[{}] the metadata key {} is missing; the file is incomplete", where_,
                    full_key(key)));
    return low;
  }
  return checked(key, value->as_int(), low, high);
}

int64_t ConfigReader::per_layer_integer(std::string_view key, int64_t n_layers, int64_t low,
                                        int64_t high, int64_t fallback) {
  const GgufValue* value = metadata_.find(full_key(key));
  if (value == nullptr || value->type() != GgufType::kArray)
    return integer(key, low, high, fallback);
  const auto values = value->as_ints();
  if (!values || static_cast<int64_t>(values->size()) != n_layers) {
    fail(make_error(ErrorKind::kInvalid, "[{}] {} has {} elements; {} are needed, one per layer",
                    where_, full_key(key), value->count(), n_layers));
    return low;
  }
  for (const int64_t v : *values) {
    if (v != values->front()) {
      fail(make_error(ErrorKind::kFailure,
                      "[{}] {} differs between layers; nibble runs models whose "
                      "layers have one shape",
                      where_, full_key(key)));
      return low;
    }
  }
  return checked(key, values->front(), low, high);
}

double ConfigReader::number(std::string_view key, double low, double high, double fallback) {
  const GgufValue* value = metadata_.find(full_key(key));
  if (value == nullptr) {
    if (!std::isnan(fallback)) return fallback;
    fail(make_error(ErrorKind::kInvalid,
                    "[{}] the metadata key {} is missing; the file is incomplete", where_,
                    full_key(key)));
    return low;
  }
  const auto number = value->as_float();
  if (!number || !(*number >= low && *number <= high)) {
    fail(make_error(ErrorKind::kInvalid, "[{}] {} is {}; {} to {} is allowed; the file is damaged",
                    where_, full_key(key), number ? std::to_string(*number) : "no number", low,
                    high));
    return low;
  }
  return *number;
}

std::string ConfigReader::text(std::string_view key, std::string_view fallback) {
  const GgufValue* value = metadata_.find(full_key(key));
  if (value == nullptr) return std::string(fallback);
  const auto string = value->as_string();
  if (!string) {
    fail(make_error(ErrorKind::kInvalid, "[{}] {} is no string; the file is damaged", where_,
                    full_key(key)));
    return std::string(fallback);
  }
  return std::string(*string);
}

}  // namespace nibble
