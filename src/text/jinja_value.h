// The values of the template language: what Python's Jinja2 sees, with Python's rules.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja_text.h"

namespace nibble::jinja {

// Budgets of one rendering. A step is one node of the template evaluated, or 64 bytes or 16
// elements copied by an operation.
inline constexpr uint64_t kMaxSteps = 1'000'000;
inline constexpr size_t kMaxTextBytes = size_t{16} << 20;  // of any string, the output included
inline constexpr size_t kMaxItems = 1'000'000;             // of any list
inline constexpr int kMaxDepth = 200;  // of the source, of values in values, of calls in calls

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kView,  // what keys(), values() and items() of a dict give
  kDict,
  kRange,
  kGenerator,
  kNamespace,
  kFunction,
  kLoop,
  kCycler
};

class Machine;
class Value;
struct Dict;
struct List;

// Everything that lies on the heap. Immutable but for namespaces, generators, loops and cyclers.
struct Object {
  virtual ~Object() = default;
  // Takes a value inside into account.
  void holds(const Value& inner);
  int depth = 1;        // 1 + that of the deepest value inside: at most kMaxDepth
  uint64_t weight = 1;  // values in it, those in several places counted each time; saturates
};

class Value {
 public:
  Value() = default;  // undefined, without a name
  // `message`: what an operation on it that undefined does not have will say.
  static Value undefined(std::string message);
  static Value none() { return Value(Kind::kNone); }
  static Value boolean(bool value);
  static Value integer(int64_t value);
  static Value floating(double value);
  static Value string(Text text, bool escaped = false);
  static Value markup(std::string text) { return string(Text(std::move(text), Origin::kTemplate)); }
  static Value data(std::string text) { return string(Text(std::move(text), Origin::kData)); }
  // kList, kTuple or kView. For values built from other values use Machine::list, which keeps the
  // limits; this one is for those known to be flat.
  static Value list(std::vector<Value> items, Kind kind = Kind::kList);
  static Value object(Kind kind, std::shared_ptr<Object> object);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_number() const { return kind_ >= Kind::kBool && kind_ <= Kind::kFloat; }
  bool is_integer() const { return kind_ == Kind::kBool || kind_ == Kind::kInt; }
  bool is_sequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }
  bool is_list() const { return is_sequence() || kind_ == Kind::kView; }
  int depth() const { return object_ == nullptr ? 0 : object_->depth; }
  uint64_t weight() const { return object_ == nullptr ? 1 : object_->weight; }

  bool as_bool() const { return integer_ != 0; }   // kBool
  int64_t as_integer() const { return integer_; }  // kBool, kInt
  double as_double() const {                       // any number
    return kind_ == Kind::kFloat ? float_ : static_cast<double>(integer_);
  }
  const Text& text() const;                 // kString
  bool escaped() const;                     // kString marked by `safe` or `escape`
  const std::vector<Value>& items() const;  // kList, kTuple, kView
  const Dict& dict() const;                 // kDict
  template <typename T>
  T& as() const {
    return static_cast<T&>(*object_);
  }
  const std::string& undefined_message() const;
  const Object* identity() const { return object_.get(); }

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::kUndefined;
  union {
    int64_t integer_ = 0;
    double float_;
  };
  std::shared_ptr<Object> object_;
};

struct String : Object {
  String(Text content, bool is_escaped) : text(std::move(content)), escaped(is_escaped) {
    weight = 1 + text.size() / 16;
  }
  const Text text;
  const bool escaped;
  mutable int64_t n_code_points = -1;  // counted when first asked for
};

struct List : Object {
  explicit List(std::vector<Value> values);
  const std::vector<Value> items;
  bool is_group = false;       // a tuple of groupby: has .grouper and .list
  std::string_view view_name;  // kView: dict_keys, dict_values or dict_items
};

// Keys in order of insertion; 1, 1.0 and True are one key, as in Python.
struct Dict : Object {
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  // False: the key cannot be one (a list, a dict ...).
  bool set(const Value& key, Value value);
  void set(std::string_view key, Value value);

  const std::vector<std::pair<Value, Value>>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }

 private:
  std::vector<std::pair<Value, Value>> entries_;
  std::unordered_map<std::string, size_t> index_;
};

struct Range : Object {
  int64_t start = 0, stop = 0, step = 1;
  int64_t size() const;
  int64_t at(int64_t index) const { return start + index * step; }
  std::optional<int64_t> index_of(int64_t value) const;
};

// Elements that come one by one and only once: map, select and their like. `step` turns an element
// of `source` into what comes out, or nothing.
struct Generator : Object {
  std::vector<Value> source;
  size_t next = 0;
  std::function<Result<std::optional<Value>>(Machine&, const Value&)> step;  // empty: as it is
};

struct Namespace : Object {
  Dict attributes;
};

struct Cycler : Object {
  std::vector<Value> items;
  size_t position = 0;
};

struct CallArguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

struct Function : Object {
  std::string name;
  bool is_macro = false;
  std::function<Result<Value>(Machine&, CallArguments&)> call;
};

bool truth(const Value& value);
// Python's ==.
bool equal(const Value& a, const Value& b);
// Python's < between numbers, strings, lists or tuples: -1, 0, 1; 2 when a NaN is compared.
// kInvalid for kinds that have no order.
Result<int> order(const Value& a, const Value& b);
// What {{ value }} prints: Python's str().
Text to_text(const Value& value);
Text repr(const Value& value);
std::string float_repr(double value);
const char* type_name(const Value& value);  // Python's name of it
int64_t code_points(const Value& string);

Error type_error(std::string message);

// A JSON document as a value. Every string in it counts as written by people, not by the template.
// kInvalid for malformed text (with its byte offset), values nested deeper than kMaxDepth / 2,
// whole numbers beyond 64 bits. Of equal keys the last one stays, as in Python.
Result<Value> value_from_json(std::string_view text);

struct JsonLayout {
  bool ascii = false, sort_keys = false;
  std::optional<std::string> indent;  // of one level; nothing: all on one line
  std::string item_separator = ", ", key_separator = ": ";
};
// Python's json.dumps; at most kMaxTextBytes.
Result<Text> to_json(const Value& value, const JsonLayout& layout);

}  // namespace nibble::jinja
