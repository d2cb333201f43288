#include "container/safetensors_header.h"

#include <cstring>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/checked.h"
#include "container/printable.h"

namespace nibble {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxOffset = uint64_t{1} << 62;

// The header has one form, so it is read as that form, without building a tree of it: depth 1 holds
// names, depth 2 fields, depth 3 the numbers of a field.
class HeaderReader final : public nlohmann::json_sax<json> {
 public:
  bool null() override { return refuse("a null"); }
  bool boolean(bool) override { return refuse("a truth value"); }
  bool number_integer(number_integer_t) override { return refuse("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return refuse("a fraction"); }
  bool binary(binary_t&) override { return refuse("bytes"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (value >= kMaxOffset) return refuse(fmt::format("the number {}", value));
    if (depth_ != 3 || !in_array_) return refuse("a number");
    if (field_ == Field::shape) {
      if (tensor_.n_dims == kMaxSafetensorDims) {
        return fail("has a shape of more than {} dimensions", kMaxSafetensorDims);
      }
      tensor_.shape[tensor_.n_dims++] = static_cast<int64_t>(value);
      return true;
    }
    if (n_offsets_ == 2) return refuse("a third offset");
    offsets_[n_offsets_++] = value;
    return true;
  }

  bool string(string_t& value) override {
    if (in_metadata_) return true;
    if (depth_ != 2 || field_ != Field::dtype) return refuse("a text");
    const auto dtype = find_dtype(value);
    if (!dtype) {
      return fail(
          "has the dtype \"{}\"; F64, F32, F16, BF16, F8_E4M3, F8_E5M2, BOOL and integers "
          "of 8 to 64 bits are known",
          printable(value));
    }
    tensor_.dtype = *dtype;
    return true;
  }

  bool start_object(size_t) override {
    if (depth_ == 0 || (depth_ == 1 && !in_array_)) {
      ++depth_;
      if (depth_ == 2) begin_entry();
      return true;
    }
    return refuse("an object");
  }

  bool end_object() override {
    --depth_;
    if (depth_ != 1) return true;
    if (in_metadata_) {
      in_metadata_ = false;
      return true;
    }
    return finish_entry();
  }

  bool start_array(size_t) override {
    const bool fits = depth_ == 2 && !in_metadata_ && !in_array_ &&
                      (field_ == Field::shape || field_ == Field::offsets);
    if (!fits) return refuse("an array");
    in_array_ = true;
    ++depth_;
    return true;
  }
  bool end_array() override {
    in_array_ = false;
    --depth_;
    return true;
  }

  bool key(string_t& name) override {
    if (depth_ == 1) {
      name_ = std::move(name);
      return true;
    }
    if (in_metadata_) return true;
    static constexpr std::pair<std::string_view, Field> kFields[] = {
        {"dtype", Field::dtype}, {"shape", Field::shape}, {"data_offsets", Field::offsets}};
    for (const auto& [text, field] : kFields) {
      if (name != text) continue;
      const auto bit = static_cast<unsigned>(field);
      if ((seen_ & bit) != 0) return fail("has \"{}\" twice; the file is damaged", text);
      seen_ |= bit;
      field_ = field;
      return true;
    }
    return fail("has the field \"{}\"; dtype, shape and data_offsets are known", printable(name));
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    problem = fmt::format("is no valid JSON at byte {}; the file is damaged",
                          position == 0 ? 0 : position - 1);
    return false;
  }

  std::vector<SafeTensor> tensors;
  std::string problem;

 private:
  enum class Field : unsigned { none = 0, dtype = 1, shape = 2, offsets = 4 };

  void begin_entry() {
    in_metadata_ = name_ == "__metadata__" && !had_metadata_;
    had_metadata_ |= in_metadata_;
    tensor_ = {};
    seen_ = 0;
    n_offsets_ = 0;
    field_ = Field::none;
  }

  bool finish_entry() {
    tensor_.name = std::move(name_);
    if (tensor_.name == "__metadata__") return fail("stands twice; the file is damaged");
    if (tensor_.name.empty() || tensor_.name.size() > kMaxSafetensorNameBytes) {
      return fail("has a name of {} bytes; 1 to {} are allowed", tensor_.name.size(),
                  kMaxSafetensorNameBytes);
    }
    if (tensors.size() == kMaxSafetensors) return fail("is one of more than {}", kMaxSafetensors);
    if (seen_ != 7) return fail("lacks one of dtype, shape and data_offsets");
    if (n_offsets_ != 2 || offsets_[0] > offsets_[1]) {
      return fail("has data_offsets that are no range [begin, end)");
    }
    std::optional<uint64_t> bytes = dtype_bytes(tensor_.dtype);
    for (const int64_t dim : tensor_.dims()) {
      // a product that overflows is wrong even if a later 0 would hide it
      bytes = checked_mul(*bytes, static_cast<uint64_t>(std::max<int64_t>(dim, 1)));
      if (!bytes || *bytes >= kMaxOffset)
        return fail("has the shape {}, which is too large", tensor_.shape_text());
    }
    for (const int64_t dim : tensor_.dims()) {
      if (dim == 0) bytes = 0;
    }
    tensor_.offset = offsets_[0];
    tensor_.size_bytes = offsets_[1] - offsets_[0];
    if (*bytes != tensor_.size_bytes) {
      return fail("has {} bytes; its shape {} in {} needs {}; the file is damaged",
                  tensor_.size_bytes, tensor_.shape_text(), dtype_name(tensor_.dtype), *bytes);
    }
    tensors.push_back(std::move(tensor_));
    return true;
  }

  template <typename... Args>
  bool fail(fmt::format_string<Args...> text, Args&&... args) {
    const std::string& name = tensor_.name.empty() ? name_ : tensor_.name;
    problem =
        fmt::format("entry {} {}", printable(name), fmt::format(text, std::forward<Args>(args)...));
    return false;
  }
  bool refuse(std::string_view what) {
    problem = depth_ == 0 ? fmt::format("is {}; an object of tensors is allowed", what)
                          : fmt::format(
                                "entry {} has {} where none is allowed; the file is "
                                "damaged",
                                printable(name_), what);
    return false;
  }

  int depth_ = 0;
  bool in_array_ = false, in_metadata_ = false, had_metadata_ = false;
  std::string name_;
  SafeTensor tensor_;
  unsigned seen_ = 0;
  Field field_ = Field::none;
  uint64_t offsets_[2] = {};
  int n_offsets_ = 0;
};

}  // namespace

Result<std::vector<SafeTensor>> parse_safetensors_header(std::string_view text,
                                                         std::string_view where) {
  if (!text.starts_with('{')) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] has a header that does not begin with '{{'; it is damaged, or no "
                      "safetensors file",
                      where);
  }
  // nlohmann-json takes a NUL for the end of the text
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] header: is no valid JSON at byte {}; the file is damaged", where, nul);
  }
  HeaderReader reader;
  if (!json::sax_parse(text.begin(), text.end(), &reader)) {
    return make_error(ErrorKind::kInvalid, "[{}] header: {}", where, reader.problem);
  }
  return std::move(reader.tensors);
}

std::string known_signature(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              std::min<size_t>(bytes.size(), 16));
  if (text.starts_with("PK\x03\x04")) {
    return "it is a ZIP archive (pickled PyTorch weights, which can run code and are never read)";
  }
  if (text.size() >= 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5) {
    return "it is a Python pickle, which can run code and is never read";
  }
  if (text.starts_with("GGUF")) return "it is a GGUF file";
  if (text.starts_with("version https://")) {
    return "it is a pointer of Git LFS; fetch the file itself";
  }
  return "";
}

std::string safetensors_header(std::span<const SafeTensor> tensors) {
  std::string text = "{\"__metadata__\":{\"format\":\"pt\"}";
  for (const SafeTensor& tensor : tensors) {
    text += fmt::format(",{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                        json(tensor.name).dump(), dtype_name(tensor.dtype),
                        fmt::join(tensor.dims(), ","), tensor.offset,
                        tensor.offset + tensor.size_bytes);
  }
  text += "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data is aligned to 8
  return text;
}

}  // namespace nibble
