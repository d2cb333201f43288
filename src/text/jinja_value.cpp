#include "text/jinja_value.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/utf8.h"

namespace nibble::jinja {
namespace {

__extension__ using Wide = __int128;  // differences of 64-bit numbers need 65 bits

// Equal keys have equal spellings: "s" + text, "n" + number, "t" + those of the elements.
bool spell_key(const Value& key, std::string& out) {
  switch (key.kind()) {
    case Kind::kString:
      out += fmt::format("s{}:", key.text().size());
      out += key.text().bytes();
      return true;
    case Kind::kNone:
      out += 'N';
      return true;
    case Kind::kBool:
    case Kind::kInt:
      out += fmt::format("n{};", key.as_integer());
      return true;
    case Kind::kFloat: {
      const double number = key.as_double();
      if (number == std::floor(number) && std::fabs(number) < 9.2e18) {
        out += fmt::format("n{};", static_cast<int64_t>(number));
      } else {
        out += fmt::format("f{};", number);
      }
      return true;
    }
    case Kind::kTuple:
      out += 't';
      for (const Value& item : key.items()) {
        if (!spell_key(item, out)) return false;
      }
      out += ')';
      return true;
    case Kind::kUndefined:
      out += 'U';
      return true;
    case Kind::kList:
    case Kind::kDict:
    case Kind::kView:
      return false;
    default:
      out += fmt::format("p{};", reinterpret_cast<uintptr_t>(key.identity()));
      return true;
  }
}

Result<int> order_items(const std::vector<Value>& a, const std::vector<Value>& b) {
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (!equal(a[i], b[i])) return order(a[i], b[i]);
  }
  return a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0;
}

int order_numbers(const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) {
    return a.as_integer() < b.as_integer() ? -1 : a.as_integer() > b.as_integer() ? 1 : 0;
  }
  // 64 bits of significand hold either kind exactly.
  const auto wide = [](const Value& value) {
    return value.is_integer() ? static_cast<long double>(value.as_integer())
                              : static_cast<long double>(value.as_double());
  };
  const long double x = wide(a), y = wide(b);
  if (std::isnan(x) || std::isnan(y)) return 2;
  return x < y ? -1 : x > y ? 1 : 0;
}

bool equal_dicts(const Dict& a, const Dict& b) {
  if (a.size() != b.size()) return false;
  return std::all_of(a.entries().begin(), a.entries().end(), [&](const auto& entry) {
    const Value* other = b.find(entry.first);
    return other != nullptr && equal(entry.second, *other);
  });
}

}  // namespace

Value Value::undefined(std::string message) {
  return object(Kind::kUndefined,
                std::make_shared<String>(Text(std::move(message), Origin::kTemplate), false));
}

Value Value::boolean(bool value) {
  Value result(Kind::kBool);
  result.integer_ = value ? 1 : 0;
  return result;
}

Value Value::integer(int64_t value) {
  Value result(Kind::kInt);
  result.integer_ = value;
  return result;
}

Value Value::floating(double value) {
  Value result(Kind::kFloat);
  result.float_ = value;
  return result;
}

Value Value::string(Text text, bool escaped) {
  return object(Kind::kString, std::make_shared<String>(std::move(text), escaped));
}

Value Value::list(std::vector<Value> items, Kind kind) {
  return object(kind, std::make_shared<List>(std::move(items)));
}

Value Value::object(Kind kind, std::shared_ptr<Object> object) {
  Value result(kind);
  result.object_ = std::move(object);
  return result;
}

const Text& Value::text() const {
  CHECK(kind_ == Kind::kString);
  return as<String>().text;
}

bool Value::escaped() const { return kind_ == Kind::kString && as<String>().escaped; }

const std::vector<Value>& Value::items() const {
  CHECK(is_list());
  return as<List>().items;
}

const Dict& Value::dict() const {
  CHECK(kind_ == Kind::kDict);
  return as<Dict>();
}

const std::string& Value::undefined_message() const {
  static const std::string kUnnamed = "the value is undefined";
  return object_ == nullptr ? kUnnamed : as<String>().text.bytes();
}

void Object::holds(const Value& inner) {
  depth = std::max(depth, inner.depth() + 1);
  weight = std::min(weight + inner.weight(), uint64_t{1} << 60);
}

List::List(std::vector<Value> values) : items(std::move(values)) {
  for (const Value& item : items) holds(item);
}

const Value* Dict::find(const Value& key) const {
  std::string spelling;
  if (!spell_key(key, spelling)) return nullptr;
  const auto found = index_.find(spelling);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

const Value* Dict::find(std::string_view key) const {
  std::string spelling = fmt::format("s{}:", key.size());
  spelling += key;
  const auto found = index_.find(spelling);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

bool Dict::set(const Value& key, Value value) {
  std::string spelling;
  if (!spell_key(key, spelling)) return false;
  holds(key);
  holds(value);
  const auto [found, is_new] = index_.emplace(std::move(spelling), entries_.size());
  if (is_new) {
    entries_.emplace_back(key, std::move(value));
  } else {
    entries_[found->second].second = std::move(value);
  }
  return true;
}

void Dict::set(std::string_view key, Value value) {
  set(Value::markup(std::string(key)), std::move(value));
}

int64_t Range::size() const {
  const Wide distance = static_cast<Wide>(stop) - start;
  if ((distance > 0) != (step > 0) || distance == 0) return 0;
  const auto magnitude = distance < 0 ? -distance : distance;
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : -static_cast<uint64_t>(step);
  const Wide n = (magnitude - 1) / stride + 1;
  return n > INT64_MAX ? INT64_MAX : static_cast<int64_t>(n);
}

std::optional<int64_t> Range::index_of(int64_t value) const {
  if (size() == 0 || (step > 0 ? value < start || value >= stop : value > start || value <= stop)) {
    return std::nullopt;
  }
  const Wide distance = static_cast<Wide>(value) - start;
  if (distance % step != 0) return std::nullopt;
  return static_cast<int64_t>(distance / step);
}

bool truth(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.as_integer() != 0;
    case Kind::kFloat:
      return value.as_double() != 0;
    case Kind::kString:
      return !value.text().empty();
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
      return !value.items().empty();
    case Kind::kDict:
      return value.dict().size() != 0;
    case Kind::kRange:
      return value.as<Range>().size() != 0;
    default:
      return true;
  }
}

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return order_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      return a.text().bytes() == b.text().bytes();
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
      return a.identity() == b.identity() || std::equal(a.items().begin(), a.items().end(),
                                                        b.items().begin(), b.items().end(), equal);
    case Kind::kDict:
      return a.identity() == b.identity() || equal_dicts(a.dict(), b.dict());
    case Kind::kRange: {
      const Range &x = a.as<Range>(), &y = b.as<Range>();
      const int64_t n = x.size();
      return n == y.size() && (n == 0 || (x.start == y.start && (n == 1 || x.step == y.step)));
    }
    default:
      return a.identity() == b.identity();
  }
}

Result<int> order(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return order_numbers(a, b);
  if (a.is(Kind::kString) && b.is(Kind::kString)) {
    // UTF-8 sorts as its code points do.
    const int sign = a.text().bytes().compare(b.text().bytes());
    return sign < 0 ? -1 : sign > 0 ? 1 : 0;
  }
  if (a.is_sequence() && a.kind() == b.kind()) return order_items(a.items(), b.items());
  return type_error(fmt::format("'<' not supported between instances of '{}' and '{}'",
                                type_name(a), type_name(b)));
}

const char* type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return value.escaped() ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kView:
      return "view of a dict";
    case Kind::kDict:
      return "dict";
    case Kind::kRange:
      return "range";
    case Kind::kGenerator:
      return "generator";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kFunction:
      return value.as<Function>().is_macro ? "Macro" : "function";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kCycler:
      return "Cycler";
  }
  return "?";
}

int64_t code_points(const Value& string) {
  const String& object = string.as<String>();
  if (object.n_code_points < 0) {
    std::string_view rest = object.text.bytes();
    int64_t n = 0;
    while (!rest.empty()) {
      size_t ascii = 0;
      while (ascii < rest.size() && static_cast<unsigned char>(rest[ascii]) < 0x80) ++ascii;
      rest.remove_prefix(ascii);
      n += static_cast<int64_t>(ascii);
      if (rest.empty()) break;
      rest.remove_prefix(decode_utf8(rest).length);
      ++n;
    }
    object.n_code_points = n;
  }
  return object.n_code_points;
}

Error type_error(std::string message) { return {ErrorKind::kInvalid, std::move(message)}; }

}  // namespace nibble::jinja
