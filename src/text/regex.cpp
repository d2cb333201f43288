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

// Steps that a search may take. A single match gets few at first and more on demand; what is asked
// for on demand, by all matches of a text together, is limited linearly. So a run of a million
// spaces in one match is fine and a million searches that each look to the end are not.
constexpr uint64_t kFirstLimit = 250;
constexpr uint64_t kEscalation = 4;
// Compiled code counts only some of its steps, so longer texts, where that could matter, are
// interpreted (about five times as slow, and exact).
constexpr size_t kMaxJitBytes = 16 * 1024;

struct MatchSpace {
  std::unique_ptr<pcre2_match_data, MatchDataFree> data{pcre2_match_data_create(1, nullptr)};
  std::unique_ptr<pcre2_match_context, MatchContextFree> context{
      pcre2_match_context_create(nullptr)};

  MatchSpace() {
    if (context) pcre2_set_heap_limit(context.get(), kHeapLimitKib);
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

  // One search from `start`; PCRE2's return value. Takes steps beyond the first from `budget`.
  int match(std::string_view text, size_t start, uint64_t& budget) const {
    MatchSpace& space = match_space();
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    for (uint64_t limit = kFirstLimit;; limit *= kEscalation) {
      pcre2_set_match_limit(space.context.get(),
                            static_cast<uint32_t>(std::min<uint64_t>(limit, UINT32_MAX)));
      // Without the UTF check: the caller made the text valid, and PCRE2 would check all of it
      // again at every match.
      constexpr uint32_t kInterpreted = PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT;
      const uint32_t options = text.size() > kMaxJitBytes ? kInterpreted : PCRE2_NO_UTF_CHECK;
      int status = pcre2_match(code.get(), subject, text.size(), start, options, space.data.get(),
                               space.context.get());
      if (status == PCRE2_ERROR_JIT_STACKLIMIT) {
        status = pcre2_match(code.get(), subject, text.size(), start, kInterpreted,
                             space.data.get(), space.context.get());
      }
      if (status != PCRE2_ERROR_MATCHLIMIT || budget < limit * kEscalation) return status;
      budget -= limit * kEscalation;
    }
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
                                 PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &offset,
                                 context.get()));
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

std::optional<std::vector<Regex::Match>> Regex::find_all(std::string_view text) const {
  std::vector<Match> matches;
  if (!match_space().data || !match_space().context) return std::nullopt;
  std::vector<size_t> replaced;
  std::string copy;
  std::string_view valid = text;
  if (!is_valid_utf8(text)) valid = copy = replace_invalid(text, replaced);

  uint64_t budget = 1'000'000 + 64 * uint64_t{valid.size()};
  size_t at = 0;
  while (at <= valid.size()) {
    const int status = code_->match(valid, at, budget);
    if (status == PCRE2_ERROR_NOMATCH) break;
    if (status < 0) return std::nullopt;
    const size_t* bounds = pcre2_get_ovector_pointer(match_space().data.get());
    const Match match = {bounds[0], bounds[1]};
    if (match.end < match.begin) return std::nullopt;  // \K in a look-ahead
    if (match.begin == match.end && !matches.empty() && matches.back().end == match.end) {
      at += at < valid.size() ? decode_utf8(valid.substr(at)).length : 1;
      continue;
    }
    matches.push_back(match);
    at = match.end;
  }
  restore_offsets(matches, replaced);
  return matches;
}

}  // namespace nibble
