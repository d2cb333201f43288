// Values as text: Python's str() and repr(), and JSON in both directions.
#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "text/jinja_unicode.h"
#include "text/jinja_value.h"

namespace nibble::jinja {
namespace {

void add(Text& out, std::string_view bytes) { out.append(bytes, Origin::kTemplate); }

std::string escape_code(uint32_t c) {
  if (c < 0x100) return fmt::format("\\x{:02x}", c);
  return c < 0x10000 ? fmt::format("\\u{:04x}", c) : fmt::format("\\U{:08x}", c);
}

void add_string_repr(Text& out, const Text& text) {
  const std::string& bytes = text.bytes();
  const bool single = bytes.find('\'') == std::string::npos || bytes.find('"') != std::string::npos;
  const char quote = single ? '\'' : '"';
  add(out, std::string_view(&quote, 1));
  for (const Text::Run& run : text.runs()) {
    std::string_view rest = run.bytes;
    while (!rest.empty()) {
      const CodePoint point = decode_utf8(rest);
      const uint32_t c = point.value;
      std::string escaped;
      if (c == '\\' || c == static_cast<unsigned char>(quote)) {
        escaped = {'\\', static_cast<char>(c)};
      } else if (c == '\n') {
        escaped = "\\n";
      } else if (c == '\r') {
        escaped = "\\r";
      } else if (c == '\t') {
        escaped = "\\t";
      } else if (point.valid && !is_printable(c)) {
        escaped = escape_code(c);
      }
      out.append(escaped.empty() ? rest.substr(0, point.length) : escaped, run.origin);
      rest.remove_prefix(point.length);
    }
  }
  add(out, std::string_view(&quote, 1));
}

void add_repr(Text& out, const Value& value, int depth);

void add_items(Text& out, const std::vector<Value>& items, int depth) {
  for (size_t i = 0; i < items.size() && out.size() <= kMaxTextBytes; ++i) {
    if (i > 0) add(out, ", ");
    add_repr(out, items[i], depth);
  }
}

void add_dict(Text& out, const Dict& dict, int depth) {
  add(out, "{");
  bool first = true;
  for (const auto& [key, item] : dict.entries()) {
    if (out.size() > kMaxTextBytes) break;
    if (!first) add(out, ", ");
    first = false;
    add_repr(out, key, depth);
    add(out, ": ");
    add_repr(out, item, depth);
  }
  add(out, "}");
}

void add_scalar(Text& out, const Value& value) {
  switch (value.kind()) {
    case Kind::kNone:
      return add(out, "None");
    case Kind::kBool:
      return add(out, value.as_bool() ? "True" : "False");
    case Kind::kInt:
      return add(out, fmt::format("{}", value.as_integer()));
    case Kind::kFloat:
      return add(out, float_repr(value.as_double()));
    case Kind::kRange: {
      const Range& range = value.as<Range>();
      add(out, range.step == 1
                   ? fmt::format("range({}, {})", range.start, range.stop)
                   : fmt::format("range({}, {}, {})", range.start, range.stop, range.step));
      return;
    }
    case Kind::kFunction:
      return add(out, fmt::format("<{} '{}'>", value.as<Function>().is_macro ? "Macro" : "function",
                                  value.as<Function>().name));
    default:
      return add(out, fmt::format("<{}>", type_name(value)));
  }
}

void add_repr(Text& out, const Value& value, int depth) {
  if (depth > kMaxDepth || out.size() > kMaxTextBytes) return add(out, "...");
  switch (value.kind()) {
    case Kind::kUndefined:
      return add(out, "Undefined");
    case Kind::kString:
      if (value.escaped()) add(out, "Markup(");
      add_string_repr(out, value.text());
      if (value.escaped()) add(out, ")");
      return;
    case Kind::kList:
      add(out, "[");
      add_items(out, value.items(), depth + 1);
      return add(out, "]");
    case Kind::kTuple:
      add(out, "(");
      add_items(out, value.items(), depth + 1);
      return add(out, value.items().size() == 1 ? ",)" : ")");
    case Kind::kView:
      add(out, value.as<List>().view_name);
      add(out, "([");
      add_items(out, value.items(), depth + 1);
      return add(out, "])");
    case Kind::kDict:
      return add_dict(out, value.dict(), depth + 1);
    case Kind::kNamespace:
      // Namespaces may hold each other in circles: only the outermost shows what it holds.
      if (depth > 0) return add(out, "<Namespace>");
      add(out, "<Namespace ");
      add_dict(out, value.as<Namespace>().attributes, depth + 1);
      return add(out, ">");
    default:
      return add_scalar(out, value);
  }
}

}  // namespace

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

Text repr(const Value& value) {
  Text out;
  add_repr(out, value, 0);
  return out;
}

Text to_text(const Value& value) {
  if (value.is(Kind::kUndefined)) return {};
  if (value.is(Kind::kString)) return value.text();
  return repr(value);
}

// ---------------------------------------------------------------- JSON, written

namespace {

void add_json_string(Text& out, const Text& text, bool ascii) {
  add(out, "\"");
  for (const Text::Run& run : text.runs()) {
    std::string written;
    std::string_view rest = run.bytes;
    while (!rest.empty()) {
      const CodePoint point = decode_utf8(rest);
      const uint32_t c = point.value;
      if (c == '"' || c == '\\') {
        written += '\\';
        written += static_cast<char>(c);
      } else if (c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == '\b') {
        written += '\\';
        written += c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : c == '\f' ? 'f' : 'b';
      } else if (c < 0x20 || (ascii && c > 0x7e && c < 0x10000)) {
        // 0x7f is ASCII and written as it is.
        written += c == 0x7f ? std::string(1, '\x7f') : fmt::format("\\u{:04x}", c);
      } else if (ascii && c >= 0x10000) {
        written += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + ((c - 0x10000) >> 10),
                               0xdc00 + ((c - 0x10000) & 0x3ff));
      } else {
        written += rest.substr(0, point.length);
      }
      rest.remove_prefix(point.length);
    }
    out.append(written, run.origin);
  }
  add(out, "\"");
}

class JsonWriter {
 public:
  JsonWriter(Text& out, const JsonLayout& layout) : out_(out), layout_(layout) {}

  Status write(const Value& value, int depth) {
    if (depth > kMaxDepth || out_.size() > kMaxTextBytes) {
      return type_error(
          fmt::format("the JSON text is nested deeper than {} or longer than {} bytes", kMaxDepth,
                      kMaxTextBytes));
    }
    switch (value.kind()) {
      case Kind::kNone:
        add(out_, "null");
        return {};
      case Kind::kBool:
        add(out_, value.as_bool() ? "true" : "false");
        return {};
      case Kind::kInt:
        add(out_, fmt::format("{}", value.as_integer()));
        return {};
      case Kind::kFloat:
        add(out_, number(value.as_double()));
        return {};
      case Kind::kString:
        add_json_string(out_, value.text(), layout_.ascii);
        return {};
      case Kind::kList:
      case Kind::kTuple:
        return write_list(value.items(), depth);
      case Kind::kDict:
        return write_dict(value.dict(), depth);
      default:
        return type_error(
            fmt::format("Object of type {} is not JSON serializable", type_name(value)));
    }
  }

 private:
  static std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return float_repr(value);
  }

  void new_line(int depth) {
    if (!layout_.indent) return;
    std::string line = "\n";
    for (int i = 0; i < depth && line.size() < kMaxTextBytes; ++i) line += *layout_.indent;
    add(out_, line);
  }

  Status write_list(const std::vector<Value>& items, int depth) {
    if (items.empty()) {
      add(out_, "[]");
      return {};
    }
    add(out_, "[");
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) add(out_, layout_.item_separator);
      new_line(depth + 1);
      RETURN_IF_ERROR(write(items[i], depth + 1));
    }
    new_line(depth);
    add(out_, "]");
    return {};
  }

  Status write_key(const Value& key) {
    switch (key.kind()) {
      case Kind::kString:
        add_json_string(out_, key.text(), layout_.ascii);
        return {};
      case Kind::kNone:
      case Kind::kBool:
      case Kind::kInt:
      case Kind::kFloat:
        add(out_, "\"");
        RETURN_IF_ERROR(write(key, 0));
        add(out_, "\"");
        return {};
      default:
        return type_error(
            fmt::format("keys must be str, int, float, bool or None, not {}", type_name(key)));
    }
  }

  Status write_dict(const Dict& dict, int depth) {
    if (dict.size() == 0) {
      add(out_, "{}");
      return {};
    }
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries()) entries.push_back(&entry);
    if (layout_.sort_keys) {
      bool comparable = true;
      std::stable_sort(entries.begin(), entries.end(), [&](const auto* a, const auto* b) {
        const auto sign = order(a->first, b->first);
        comparable = comparable && sign.ok();
        return sign.ok() && *sign < 0;
      });
      if (!comparable) return type_error("the keys have no order among each other");
    }
    add(out_, "{");
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) add(out_, layout_.item_separator);
      new_line(depth + 1);
      RETURN_IF_ERROR(write_key(entries[i]->first));
      add(out_, layout_.key_separator);
      RETURN_IF_ERROR(write(entries[i]->second, depth + 1));
    }
    new_line(depth);
    add(out_, "}");
    return {};
  }

  Text& out_;
  const JsonLayout& layout_;
};

// ---------------------------------------------------------------- JSON, read

class ValueBuilder : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::string error;

  bool null() override { return put(Value::none()); }
  bool boolean(bool value) override { return put(Value::boolean(value)); }
  bool number_integer(number_integer_t value) override { return put(Value::integer(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<uint64_t>(INT64_MAX)) return fail("a whole number beyond 64 bits");
    return put(Value::integer(static_cast<int64_t>(value)));
  }
  bool number_float(number_float_t value, const string_t& spelling) override {
    if (spelling.find_first_of(".eE") == string_t::npos) {
      return fail("a whole number beyond 64 bits");
    }
    return put(Value::floating(value));
  }
  bool string(string_t& value) override { return put(Value::data(std::move(value))); }
  bool binary(binary_t&) override { return fail("binary data"); }
  bool start_object(size_t) override { return open(std::make_shared<Dict>()); }
  bool start_array(size_t) override { return open(nullptr); }
  bool key(string_t& key) override {
    levels_.back().key = Value::data(std::move(key));
    return true;
  }
  bool end_object() override {
    Value value = Value::object(Kind::kDict, std::move(levels_.back().dict));
    levels_.pop_back();
    return put(std::move(value));
  }
  bool end_array() override {
    Value value = Value::list(std::move(levels_.back().items));
    levels_.pop_back();
    return put(std::move(value));
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::json::exception& cause) override {
    error = fmt::format("no valid JSON at byte {}", position);
    // The library's text begins with its own name in brackets.
    if (const std::string_view text = cause.what(); text.find("] ") != std::string_view::npos) {
      error += fmt::format(" ({})", text.substr(text.find("] ") + 2));
    }
    return false;
  }

  Value result() { return std::move(root_); }

 private:
  struct Level {
    std::shared_ptr<Dict> dict;  // null: a list
    std::vector<Value> items;
    Value key;
  };

  bool fail(const char* what) {
    error = fmt::format("{} is not supported", what);
    return false;
  }
  bool open(std::shared_ptr<Dict> dict) {
    if (levels_.size() >= static_cast<size_t>(kMaxDepth) / 2) {
      error = fmt::format("values nested deeper than {}", kMaxDepth / 2);
      return false;
    }
    levels_.push_back({std::move(dict), {}, {}});
    return true;
  }
  bool put(Value value) {
    if (levels_.empty()) {
      root_ = std::move(value);
    } else if (levels_.back().dict != nullptr) {
      levels_.back().dict->set(levels_.back().key, std::move(value));
    } else {
      levels_.back().items.push_back(std::move(value));
    }
    return true;
  }

  std::vector<Level> levels_;
  Value root_;
};

}  // namespace

Result<Text> to_json(const Value& value, const JsonLayout& layout) {
  Text out;
  RETURN_IF_ERROR(JsonWriter(out, layout).write(value, 0));
  return out;
}

Result<Value> value_from_json(std::string_view text) {
  ValueBuilder builder;
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) {
    return make_error(ErrorKind::kInvalid, "{}", builder.error);
  }
  return builder.result();
}

}  // namespace nibble::jinja
