#include "base/json.h"

#include <string>
#include <utility>
#include <vector>

#include "base/file.h"

namespace nibble {
namespace {

using nlohmann::json;

// Builds the value while the text is read, and stops at the first fault.
class Builder final : public nlohmann::json_sax<json> {
 public:
  explicit Builder(int max_depth) : max_depth_(static_cast<size_t>(max_depth)) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // not in text
  bool start_object(size_t) override { return open(json::object()); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    const auto [place, is_new] = open_.back()->get_ref<json::object_t&>().emplace(name, nullptr);
    if (!is_new)
      problem = fmt::format("has the key \"{}\" twice in one object", name.substr(0, 80));
    slot_ = &place->second;
    return is_new;
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    problem = fmt::format("is no valid JSON at byte {}", position == 0 ? 0 : position - 1);
    return false;
  }

  json root;
  std::string problem;

 private:
  // Where the next value goes: the member just named, the end of an array, or the whole.
  json* place() {
    if (open_.empty()) return &root;
    if (open_.back()->is_object()) return slot_;
    return &open_.back()->get_ref<json::array_t&>().emplace_back();
  }
  template <typename T>
  bool add(T&& value) {
    *place() = std::forward<T>(value);
    return true;
  }
  // Elements are added to the innermost array only, so pointers to the outer ones stay good.
  bool open(json value) {
    if (open_.size() == max_depth_) {
      problem = fmt::format("is nested more than {} deep", max_depth_);
      return false;
    }
    json* at = place();
    *at = std::move(value);
    open_.push_back(at);
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  size_t max_depth_;
  std::vector<json*> open_;
  json* slot_ = nullptr;
};

}  // namespace

Result<nlohmann::json> parse_json(std::string_view text, std::string_view where, int max_depth) {
  // nlohmann-json takes a NUL for the end of the text
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return make_error(ErrorKind::kInvalid, "[{}] is no valid JSON at byte {}; it is damaged", where,
                      nul);
  }
  Builder builder(max_depth);
  if (!json::sax_parse(text.begin(), text.end(), &builder)) {
    return make_error(ErrorKind::kInvalid, "[{}] {}; it is damaged, or not what its name says",
                      where, builder.problem);
  }
  return std::move(builder.root);
}

Result<nlohmann::json> read_json_file(const std::filesystem::path& path, uint64_t max_bytes) {
  ASSIGN_OR_RETURN(const std::string text, read_text_file(path, max_bytes));
  return parse_json(text, path.string());
}

}  // namespace nibble
