#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include <pcre2.h>

#include <algorithm>
#include <array>

#include "base/utf8.h"

namespace nibble {
namespace {

struct CodeFree {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct CompileContextFree {
  void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
};
struct MatchDataFree {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct MatchContextFree {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

constexpr uint32_t kHeapLimitKib = 64 * 1024;
constexpr size_t kMaxExpressionBytes = 64 * 1024;

// Prices of the work budget (regex.h). PCRE2 counts steps too, but anew for every place where a
// match may begin, and compiled code does not count how far a repeat of one character runs. So the
// expressions are compiled with a callout before every item: it is charged a fixed price, and the
// distance from the callout before, which is what the item in between has read (or given back).
// An item can read far and fail without reaching a callout only if it is a long counted repeat or a
// back reference; translate_expression() refuses both.
constexpr uint64_t kWorkPerItem = 8;
constexpr uint64_t kInterpretedFactor = 4;  // compiled code is about that much faster
constexpr uint64_t kFreeWork = 2'000'000;
constexpr uint64_t kWorkPerByte = 300;

struct Meter {
  uint64_t left;
  uint64_t factor = 1;
  size_t at = 0;  // offset of the callout before

  // PCRE2's callout: below zero the search ends with that error.
  static int charge(pcre2_callout_block* block, void* self) {
    auto& meter = *static_cast<Meter*>(self);
    const size_t at = block->current_position;
    const size_t distance = at > meter.at ? at - meter.at : meter.at - at;
    const uint64_t price = (kWorkPerItem + distance) * meter.factor;
    meter.at = at;
    if (price > meter.left) {
      meter.left = 0;
      return PCRE2_ERROR_CALLOUT;
    }
    meter.left -= price;
    return 0;
  }
};

struct MatchSpace {
  std::unique_ptr<pcre2_match_data, MatchDataFree> data{pcre2_match_data_create(1, nullptr)};
  std::unique_ptr<pcre2_match_context, MatchContextFree> context{
      pcre2_match_context_create(nullptr)};

  MatchSpace() {
    if (!context) return;
    pcre2_set_heap_limit(context.get(), kHeapLimitKib);
    pcre2_set_match_limit(context.get(), UINT32_MAX);  // the meter is what limits
  }
};

MatchSpace& match_space() {
  thread_local MatchSpace space;
  return space;
}

// `text` with every invalid byte as U+FFFD; where those stand goes to `replaced` (ascending).
std::string replace_invalid(std::string_view text, std::vector<size_t>& replaced) {
  std::string valid;
  valid.reserve(text.size() + text.size() / 2);
  while (!text.empty()) {
    const CodePoint point = decode_utf8(text);
    if (point.valid) {
      valid.append(text.substr(0, point.length));
    } else {
      replaced.push_back(valid.size());
      append_utf8(0xfffd, valid);
    }
    text.remove_prefix(point.length);
  }
  return valid;
}

// Offsets in what replace_invalid() gave become offsets in the text it came from.
void restore_offsets(std::vector<Regex::Match>& matches, const std::vector<size_t>& replaced) {
  size_t n = 0;  // replacements before the offset; each is two bytes longer than what it stands for
  const auto restore = [&](size_t& offset) {
    while (n < replaced.size() && replaced[n] < offset) ++n;
    offset -= 2 * n;
  };
  for (Regex::Match& match : matches) {
    restore(match.begin);
    restore(match.end);
  }
}

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, CodeFree> code;

  // One search from `start`; PCRE2's return value.
  int match(std::string_view text, size_t start, Meter& meter) const {
    MatchSpace& space = match_space();
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    // Without the UTF check: the caller made the text valid, and PCRE2 would check all of it again
    // at every match.
    constexpr uint32_t kInterpreted = PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT;
    meter.at = start;
    meter.factor = 1;
    const int status = pcre2_match(code.get(), subject, text.size(), start, PCRE2_NO_UTF_CHECK,
                                   space.data.get(), space.context.get());
    if (status != PCRE2_ERROR_JIT_STACKLIMIT) return status;
    meter.at = start;
    meter.factor = kInterpretedFactor;
    return pcre2_match(code.get(), subject, text.size(), start, kInterpreted, space.data.get(),
                       space.context.get());
  }
};

Regex::Regex(std::unique_ptr<Code> code) : code_(std::move(code)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Result<Regex> Regex::compile(std::string_view expression) {
  if (expression.size() > kMaxExpressionBytes) {
    return make_error(ErrorKind::kFailure,
                      "[tokenizer] a regular expression has {} bytes; at most {} are allowed",
                      expression.size(), kMaxExpressionBytes);
  }
  ASSIGN_OR_RETURN(const std::string text, translate_expression(expression));
  const std::unique_ptr<pcre2_compile_context, CompileContextFree> context(
      pcre2_compile_context_create(nullptr));
  if (context) {
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context.get(), 100);
  }
  int error = 0;
  size_t offset = 0;
  auto code = std::make_unique<Code>();
  // ^ and $ are of lines in Ruby's syntax.
  code->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                 PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_AUTO_CALLOUT,
                                 &error, &offset, context.get()));
  if (!code->code) {
    std::array<unsigned char, 200> reason{};
    pcre2_get_error_message(error, reason.data(), reason.size());
    return make_error(ErrorKind::kFailure,
                      "[tokenizer] the regular expression \"{}\" does not compile: {}; it came "
                      "from the model's files",
                      expression.substr(0, 200), reinterpret_cast<const char*>(reason.data()));
  }
  // Where the processor has no JIT the interpreter does the same work, more slowly.
  (void)pcre2_jit_compile(code->code.get(), PCRE2_JIT_COMPLETE);
  return Regex(std::move(code));
}

uint64_t Regex::work_for(size_t n_bytes) { return kFreeWork + kWorkPerByte * uint64_t{n_bytes}; }

std::vector<Regex::Match> Regex::find_all(std::string_view text, uint64_t& work) const {
  std::vector<Match> matches;
  MatchSpace& space = match_space();
  if (!space.data || !space.context || work == 0) return matches;
  std::vector<size_t> replaced;
  std::string copy;
  std::string_view valid = text;
  if (!is_valid_utf8(text)) valid = copy = replace_invalid(text, replaced);

  Meter meter = {.left = work};
  pcre2_set_callout(space.context.get(), Meter::charge, &meter);
  for (size_t at = 0; at <= valid.size();) {
    // No match from here on, or the meter or the memory has run out.
    if (code_->match(valid, at, meter) < 0) break;
    const size_t* bounds = pcre2_get_ovector_pointer(space.data.get());
    const Match match = {bounds[0], bounds[1]};
    if (match.begin < at || match.end < match.begin) break;  // \K in a look-around
    if (match.begin == match.end && !matches.empty() && matches.back().end == match.end) {
      at += at < valid.size() ? decode_utf8(valid.substr(at)).length : 1;
      continue;
    }
    matches.push_back(match);
    at = match.end;
  }
  pcre2_set_callout(space.context.get(), nullptr, nullptr);
  work = meter.left;
  restore_offsets(matches, replaced);
  return matches;
}

}  // namespace nibble
