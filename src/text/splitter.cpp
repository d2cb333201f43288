#include "text/splitter.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "text/byte_level.h"
#include "text/unicode_class.h"

namespace nibble {
namespace {

// A part of a piece, in order; all parts together are the piece.
struct Part {
  size_t begin, end;
  bool is_delimiter;
};

void append_part(std::vector<Part>& parts, size_t begin, size_t end, bool is_delimiter) {
  if (begin < end) parts.push_back({begin, end, is_delimiter});
}

// Joins or drops delimiters.
std::vector<Part> with_behavior(const std::vector<Part>& parts, SplitBehavior behavior) {
  std::vector<Part> result;
  bool previous = false;  // whether the part before was a delimiter
  switch (behavior) {
    case SplitBehavior::kRemoved:
      for (const Part& part : parts) {
        if (!part.is_delimiter) result.push_back(part);
      }
      return result;
    case SplitBehavior::kIsolated:
      return parts;
    case SplitBehavior::kContiguous:
      for (const Part& part : parts) {
        if (!result.empty() && part.is_delimiter == previous) {
          result.back().end = part.end;
        } else {
          result.push_back(part);
        }
        previous = part.is_delimiter;
      }
      return result;
    case SplitBehavior::kMergedWithPrevious:
      for (const Part& part : parts) {
        if (part.is_delimiter && !previous && !result.empty()) {
          result.back().end = part.end;
        } else {
          result.push_back(part);
        }
        previous = part.is_delimiter;
      }
      return result;
    case SplitBehavior::kMergedWithNext:
      for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
        if (part->is_delimiter && !previous && !result.empty()) {
          result.back().begin = part->begin;
        } else {
          result.push_back(*part);
        }
        previous = part->is_delimiter;
      }
      std::reverse(result.begin(), result.end());
      return result;
  }
  return result;
}

// Cuts without changing the text.
class Cutter : public Splitter {
 public:
  Cutter(SplitBehavior behavior, bool invert) : behavior_(behavior), invert_(invert) {}

  void apply(Pieces& pieces) const override {
    std::vector<Piece> next;
    next.reserve(pieces.list.size());
    std::vector<Part> parts;
    // One step does not use up what the ones behind it need.
    const uint64_t share = std::min(pieces.regex_work, Regex::work_for(pieces.text.size()));
    uint64_t work = share;
    for (const Piece& piece : pieces.list) {
      parts.clear();
      find(pieces.view(piece), work, parts);
      if (invert_) {
        for (Part& part : parts) part.is_delimiter = !part.is_delimiter;
      }
      for (const Part& part : with_behavior(parts, behavior_)) {
        next.push_back(
            {piece.begin + part.begin, part.end - part.begin, piece.at_start && part.begin == 0});
      }
    }
    pieces.list = std::move(next);
    pieces.regex_work -= share - work;
  }

 protected:
  // `work` is what regular expressions may still do.
  virtual void find(std::string_view text, uint64_t& work, std::vector<Part>& parts) const = 0;

 private:
  SplitBehavior behavior_;
  bool invert_;
};

class RegexSplitter final : public Cutter {
 public:
  RegexSplitter(Regex regex, SplitBehavior behavior, bool invert)
      : Cutter(behavior, invert), regex_(std::move(regex)) {}

 private:
  void find(std::string_view text, uint64_t& work, std::vector<Part>& parts) const override {
    size_t end = 0;
    for (const Regex::Match& match : regex_.find_all(text, work)) {
      append_part(parts, end, match.begin, false);
      append_part(parts, match.begin, match.end, true);
      end = match.end;
    }
    append_part(parts, end, text.size(), false);
  }

  Regex regex_;
};

class TextSplitter final : public Cutter {
 public:
  TextSplitter(std::string literal, SplitBehavior behavior, bool invert)
      : Cutter(behavior, invert), literal_(std::move(literal)) {}

 private:
  void find(std::string_view text, uint64_t&, std::vector<Part>& parts) const override {
    size_t end = 0;
    for (size_t at = 0; (at = text.find(literal_, end)) != std::string_view::npos;) {
      append_part(parts, end, at, false);
      end = at + literal_.size();
      append_part(parts, at, end, true);
    }
    append_part(parts, end, text.size(), false);
  }

  std::string literal_;
};

class ClassSplitter final : public Cutter {
 public:
  ClassSplitter(bool (*is_delimiter)(uint32_t), SplitBehavior behavior)
      : Cutter(behavior, false), is_delimiter_(is_delimiter) {}

 private:
  void find(std::string_view text, uint64_t&, std::vector<Part>& parts) const override {
    size_t end = 0;
    for (size_t at = 0; at < text.size();) {
      const CodePoint point = decode_utf8(text.substr(at));
      if (is_delimiter_(point.value)) {
        append_part(parts, end, at, false);
        end = at + point.length;
        append_part(parts, at, end, true);
      }
      at += point.length;
    }
    append_part(parts, end, text.size(), false);
  }

  bool (*is_delimiter_)(uint32_t);
};

class WordSplitter final : public Cutter {
 public:
  WordSplitter() : Cutter(SplitBehavior::kRemoved, false) {}

 private:
  void find(std::string_view text, uint64_t&, std::vector<Part>& parts) const override {
    enum class Kind { kSpace, kWord, kOther };
    const auto kind_at = [&](size_t at, size_t& length) {
      const CodePoint point = decode_utf8(text.substr(at));
      length = point.length;
      if (is_word_character(point.value)) return Kind::kWord;
      return is_unicode_space(point.value) ? Kind::kSpace : Kind::kOther;
    };
    for (size_t begin = 0; begin < text.size();) {
      size_t length = 0;
      const Kind kind = kind_at(begin, length);
      size_t end = begin + length;
      while (end < text.size() && kind_at(end, length) == kind) end += length;
      append_part(parts, begin, end, kind == Kind::kSpace);
      begin = end;
    }
  }
};

class LengthSplitter final : public Cutter {
 public:
  explicit LengthSplitter(size_t length) : Cutter(SplitBehavior::kIsolated, false), n_(length) {}

 private:
  void find(std::string_view text, uint64_t&, std::vector<Part>& parts) const override {
    size_t begin = 0, n = 0;
    for (size_t at = 0; at < text.size();) {
      at += decode_utf8(text.substr(at)).length;
      if (++n < n_ && at < text.size()) continue;
      append_part(parts, begin, at, false);
      begin = at;
      n = 0;
    }
  }

  size_t n_;
};

// Writes every piece anew.
template <typename Rewrite>
void rewrite(Pieces& pieces, Rewrite&& rewrite_piece) {
  std::string text;
  text.reserve(pieces.text.size() + pieces.text.size() / 2);
  for (Piece& piece : pieces.list) {
    const size_t begin = text.size();
    rewrite_piece(piece, pieces.view(piece), text);
    piece.begin = begin;
    piece.length = text.size() - begin;
  }
  pieces.text = std::move(text);
}

class ByteLevelSplitter final : public Splitter {
 public:
  ByteLevelSplitter(bool add_prefix_space, std::optional<Regex> regex)
      : add_prefix_space_(add_prefix_space) {
    if (regex) cutter_.emplace(std::move(*regex), SplitBehavior::kIsolated, false);
  }

  void apply(Pieces& pieces) const override {
    if (add_prefix_space_) {
      rewrite(pieces, [](const Piece&, std::string_view piece, std::string& out) {
        if (!piece.starts_with(' ')) out += ' ';
        out += piece;
      });
    }
    if (cutter_) cutter_->apply(pieces);
    rewrite(pieces, [](const Piece&, std::string_view piece, std::string& out) {
      for (const char byte : piece) {
        append_utf8(byte_level_character(static_cast<uint8_t>(byte)), out);
      }
    });
  }

 private:
  bool add_prefix_space_;
  std::optional<RegexSplitter> cutter_;
};

class MetaspaceSplitter final : public Splitter {
 public:
  MetaspaceSplitter(std::string replacement, PrependScheme scheme, bool split)
      : replacement_(std::move(replacement)), scheme_(scheme) {
    if (split) cutter_.emplace(replacement_, SplitBehavior::kMergedWithNext, false);
  }

  void apply(Pieces& pieces) const override {
    rewrite(pieces, [&](const Piece& piece, std::string_view text, std::string& out) {
      const bool may_prepend =
          scheme_ == PrependScheme::kAlways || (scheme_ == PrependScheme::kFirst && piece.at_start);
      if (may_prepend && !text.starts_with(' ') && !text.starts_with(replacement_)) {
        out += replacement_;
      }
      for (const char c : text) {
        if (c == ' ') {
          out += replacement_;
        } else {
          out += c;
        }
      }
    });
    if (cutter_) cutter_->apply(pieces);
  }

 private:
  std::string replacement_;
  PrependScheme scheme_;
  std::optional<TextSplitter> cutter_;
};

}  // namespace

std::unique_ptr<Splitter> make_regex_splitter(Regex regex, SplitBehavior behavior, bool invert) {
  return std::make_unique<RegexSplitter>(std::move(regex), behavior, invert);
}
std::unique_ptr<Splitter> make_text_splitter(std::string literal, SplitBehavior behavior,
                                             bool invert) {
  return std::make_unique<TextSplitter>(std::move(literal), behavior, invert);
}
std::unique_ptr<Splitter> make_class_splitter(bool (*is_delimiter)(uint32_t),
                                              SplitBehavior behavior) {
  return std::make_unique<ClassSplitter>(is_delimiter, behavior);
}
std::unique_ptr<Splitter> make_word_splitter() { return std::make_unique<WordSplitter>(); }
std::unique_ptr<Splitter> make_length_splitter(size_t length) {
  return std::make_unique<LengthSplitter>(length);
}
std::unique_ptr<Splitter> make_byte_level_splitter(bool add_prefix_space,
                                                   std::optional<Regex> regex) {
  return std::make_unique<ByteLevelSplitter>(add_prefix_space, std::move(regex));
}
std::unique_ptr<Splitter> make_metaspace_splitter(std::string replacement, PrependScheme scheme,
                                                  bool split) {
  return std::make_unique<MetaspaceSplitter>(std::move(replacement), scheme, split);
}

}  // namespace nibble
