// A string that remembers, byte by byte, who wrote it: the template or the data it was given.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

// One piece of a prompt. `is_markup` pieces were written by the template and may become special
// tokens; the others (what people wrote) never do.
struct PromptPiece {
  std::string text;
  bool is_markup;
};

namespace jinja {

enum class Origin : uint8_t { kTemplate = 0, kData = 1 };

//   bytes   <|im_start|>user\nHello<|im_end|>
//   flips               ^ 12    ^ 23           here the author changes; before the first it is the
//                      "user\nHello" is data   template
//
// Every operation carries the authors along; where one mixes them beyond telling, the result is
// data.
class Text {
 public:
  Text() = default;
  Text(std::string bytes, Origin origin) : bytes_(std::move(bytes)) {
    if (origin == Origin::kData && !bytes_.empty()) flips_.push_back(0);
  }

  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  bool has_data() const { return !flips_.empty(); }
  Origin origin_at(size_t offset) const;

  void append(std::string_view bytes, Origin origin);
  void append(const Text& other) { append(other, 0, other.size()); }
  // Bytes [begin, end) of `other`, which may be this text itself only if nothing is reallocated:
  // pass a copy.
  void append(const Text& other, size_t begin, size_t end);
  Text slice(size_t begin, size_t end) const;
  void clear();

  // The runs of one author each, in order.
  struct Run {
    std::string_view bytes;
    Origin origin;
  };
  std::vector<Run> runs() const;
  std::vector<PromptPiece> pieces() const;

 private:
  std::string bytes_;
  std::vector<uint32_t> flips_;  // ascending, below bytes_.size()
};

}  // namespace jinja
}  // namespace nibble
