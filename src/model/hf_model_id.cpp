#include "model/hf_model_id.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

namespace nibble {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_small(char c) { return c >= 'a' && c <= 'z'; }
bool is_letter(char c) { return is_small(c) || (c >= 'A' && c <= 'Z'); }
char small(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
char capital(char c) { return is_small(c) ? static_cast<char>(c - 'a' + 'A') : c; }

std::string in_small(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), small);
  return out;
}

// Takes pieces off the front of a word in small letters.
class Look {
 public:
  explicit Look(std::string_view word) : rest_(word) {}
  bool text(std::string_view wanted) {
    if (!rest_.starts_with(wanted)) return false;
    rest_.remove_prefix(wanted.size());
    return true;
  }
  bool one_of(std::string_view characters) {
    if (rest_.empty() || characters.find(rest_.front()) == std::string_view::npos) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool digits() {
    size_t n = 0;
    while (n < rest_.size() && is_digit(rest_[n])) ++n;
    rest_.remove_prefix(n);
    return n > 0;
  }
  // Digits behind one of `separators`, or nothing.
  bool fraction(std::string_view separators) {
    const std::string_view before = rest_;
    if (one_of(separators) && digits()) return true;
    rest_ = before;
    return false;
  }
  bool done() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

// 2, v0.2, iter100
bool is_version(std::string_view word) {
  Look look(word);
  if (!look.text("v")) look.text("iter");
  if (!look.digits()) return false;
  while (look.fraction(".")) {
  }
  return look.done();
}

// q4_k_m, iq2_s, f16, bf16, fp32
bool is_number_type(std::string_view word) {
  Look floats(word);
  floats.text("b");
  if (floats.text("f")) {
    floats.text("p");
    return (floats.text("16") || floats.text("32")) && floats.done();
  }
  Look codes(word);
  codes.text("i");
  if (!codes.text("q") || !codes.one_of("0123456789")) return false;
  while (codes.text("_")) {
    if (!codes.one_of("0123456789abcdefghijklmnopqrstuvwxyz_")) return false;
  }
  return codes.done();
}

// 135m, 1.1b, 8x7b, a3b, 7b1
bool is_size(std::string_view word) {
  constexpr std::string_view kSizes[] = {"small", "mini", "medium", "large", "xl", "xxl"};
  if (std::find(std::begin(kSizes), std::end(kSizes), word) != std::end(kSizes)) return true;
  const auto rest_fits = [](Look look) {
    if (!look.digits()) return false;
    look.fraction("._");
    if (!look.one_of("kmbt")) return false;
    look.one_of("0123456789");
    return look.done();
  };
  Look plain(word), active(word), experts(word);
  return rest_fits(plain) || (active.text("a") && rest_fits(active)) ||
         (experts.digits() && experts.text("x") && rest_fits(experts));
}

bool is_tuning(std::string_view word) {
  return word == "chat" || word == "instruct" || word == "vision" || word == "lora";
}

enum Kind : unsigned {
  kBasename = 1,
  kSize = 2,
  kFinetune = 4,
  kVersion = 8,
  kNumberType = 16,
};

struct Part {
  std::string text;
  unsigned kinds = 0;
};

// "7b1" is 7.1B, "1_5b" 1.5B; whether it is the size of a model of n_params.
void set_size(Part& part, double n_params) {
  std::string& text = part.text;
  std::replace(text.begin(), text.end(), '_', '.');
  if (is_digit(text.back()) && text.size() > 2) {
    const char digit = text.back(), unit = text[text.size() - 2];
    text.replace(text.size() - 2, 2, std::string(".") + digit + unit);
  }
  if (text.size() > 1 && is_digit(text[text.size() - 2])) text.back() = capital(text.back());
  part.kinds = kSize;
  constexpr std::string_view kUnits = "KMBT";
  double number = 0;
  const char* end = text.data() + text.size() - 1;
  const auto parsed = std::from_chars(text.data(), end, number);
  const size_t unit = kUnits.find(text.back());
  if (n_params <= 0 || parsed.ec != std::errc() || parsed.ptr != end ||
      unit == std::string_view::npos) {
    return;
  }
  const double size = number * std::pow(1000.0, static_cast<double>(unit + 1));
  if (std::abs(size - n_params) > n_params * 7 / 8) {
    part.kinds = kFinetune;
    text.back() = small(text.back());
  }
}

std::vector<Part> parts_of(std::string_view name, double n_params) {
  std::vector<Part> parts;
  for (size_t i = 0; !name.empty(); ++i) {
    const size_t length = std::min(name.find('-'), name.size());
    Part part{std::string(name.substr(0, length))};
    name.remove_prefix(std::min(length + 1, name.size()));
    if (part.text.empty()) continue;
    const std::string word = in_small(part.text);
    if (is_version(word)) {
      part.kinds = kVersion;
    } else if (is_number_type(word)) {
      part.kinds = kNumberType;
      std::transform(part.text.begin(), part.text.end(), part.text.begin(), capital);
    } else if (!parts.empty() && is_size(word)) {
      set_size(part, n_params);
    } else if (!parts.empty() && is_tuning(word)) {
      part.kinds = kFinetune;
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

std::string joined(const std::vector<Part>& parts, unsigned kind, unsigned without = 0) {
  std::vector<std::string_view> texts;
  std::string out;
  for (const Part& part : parts) {
    if ((part.kinds & kind) == 0 || (part.kinds & without) != 0) continue;
    const bool is_repeated =
        kind == kSize && std::find(texts.begin(), texts.end(), part.text) != texts.end();
    if (is_repeated) continue;
    texts.push_back(part.text);
    out += (texts.size() > 1 ? "-" : "") + part.text;
  }
  return out;
}

}  // namespace

ModelIdParts split_model_id(std::string_view id, double n_params) {
  ModelIdParts result;
  if (id.find(' ') != std::string_view::npos) {
    result.name = id;
    return result;
  }
  if (const size_t slash = id.find('/'); slash != std::string_view::npos) {
    if (id[0] != '.') result.organization = id.substr(0, slash);
    id.remove_prefix(slash + 1);
  }
  result.name = id;
  std::vector<Part> parts = parts_of(id, n_params);
  // "small" says little where there is a number
  const bool has_number = std::any_of(parts.begin(), parts.end(), [](const Part& part) {
    return part.kinds == kSize && std::any_of(part.text.begin(), part.text.end(), is_digit);
  });
  for (Part& part : parts) {
    const bool is_word = std::all_of(part.text.begin(), part.text.end(), is_letter);
    if (has_number && part.kinds == kSize && is_word) part.kinds = 0;
  }
  bool at_start = true;
  for (Part& part : parts) {
    const bool is_word = part.kinds == 0 && is_letter(part.text[0]);
    at_start = at_start && (is_word || (part.kinds & kVersion) != 0);
    if (at_start) {
      part.kinds |= kBasename;
    } else if (part.kinds == 0) {
      part.kinds = kFinetune;
    }
  }
  for (size_t i = parts.size(); i-- > 0 && parts[i].kinds == (kBasename | kVersion);) {
    parts[i].kinds = kVersion;
  }
  result.size_label = joined(parts, kSize);
  result.finetune = joined(parts, kFinetune);
  result.version = joined(parts, kVersion, kBasename);
  const bool is_clear =
      !result.size_label.empty() || !result.finetune.empty() || !result.version.empty();
  if (is_clear) result.basename = joined(parts, kBasename);
  return result;
}

std::string title_of(std::string_view name) {
  std::string title;
  while (!name.empty()) {
    const size_t length = std::min(name.find_first_of("- \t\n"), name.size());
    const std::string_view word = name.substr(0, length);
    name.remove_prefix(std::min(length + 1, name.size()));
    if (word.empty()) continue;
    if (!title.empty()) title += ' ';
    const bool stays = is_digit(word[0]) || (word[0] == 'v' && is_version(word));
    const bool is_all_small =
        std::any_of(word.begin(), word.end(), is_small) &&
        std::none_of(word.begin(), word.end(), [](char c) { return is_letter(c) && !is_small(c); });
    if (stays || !is_all_small) {
      title += word;
      continue;
    }
    for (size_t i = 0; i < word.size(); ++i) {
      // bytes of characters outside ASCII stay, and are letters
      const bool goes_on = i > 0 && (is_letter(word[i - 1]) || (word[i - 1] & 0x80) != 0);
      title += goes_on ? word[i] : capital(word[i]);
    }
  }
  return title;
}

}  // namespace nibble
