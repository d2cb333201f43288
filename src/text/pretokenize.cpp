#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pretokenize.h"

#include <pcre2.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/utf8.h"

namespace nibble {
namespace {

// Parts that several expressions share.
#define NIBBLE_CONTRACTION R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]))"
#define NIBBLE_SPACES R"(\s*[\r\n]+|\s+(?!\S)|\s+)"
#define NIBBLE_GPT2                                                 \
  R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+)" \
  R"(|\s+(?!\S)|\s+)"
#define NIBBLE_LLAMA3 \
  NIBBLE_CONTRACTION  \
  R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" NIBBLE_SPACES
// Words by case: "camelCase" is two. Lm, Lo and marks count as both cases.
#define NIBBLE_CAPITALS R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define NIBBLE_SMALL R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define NIBBLE_CASED(suffix)                                          \
  R"([^\r\n\p{L}\p{N}]?)" NIBBLE_CAPITALS "*" NIBBLE_SMALL "+" suffix \
  R"(|[^\r\n\p{L}\p{N}]?)" NIBBLE_CAPITALS "+" NIBBLE_SMALL "*" suffix

const std::vector<PreTokenizerSpec>& table() {
  static const std::vector<PreTokenizerSpec> rows = {
      {.names = {"gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de",
                 "a.x-4.0", "mellum", "modern-bert", "exaone4", "mpt", "olmo", "jais", "trillion",
                 "granite-docling"},
       .patterns = {NIBBLE_GPT2}},
      {.names = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b",
                 "mellum2"},
       .patterns = {R"(\p{N})", NIBBLE_GPT2}},
      {.names = {"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0",
                 "lfm2", "jina-v5-nano"},
       .patterns = {NIBBLE_LLAMA3},
       .whole_words_first = true,
       .adds_bos = true},
      {.names = {"dbrx", "smaug-bpe", "glm4", "chatglm-bpe"}, .patterns = {NIBBLE_LLAMA3}},
      {.names = {"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan",
                 "solar-open", "grok-2"},
       .patterns = {NIBBLE_CONTRACTION
                    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" NIBBLE_SPACES}},
      {.names = {"qwen35"},
       .patterns = {NIBBLE_CONTRACTION R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|)"
                                       R"( ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)" NIBBLE_SPACES}},
      {.names = {"seed-coder"},
       .patterns = {NIBBLE_CONTRACTION
                    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|)" NIBBLE_SPACES}},
      {.names = {"bailingmoe", "bailingmoe2", "llada-moe"},
       .patterns = {R"('(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
                    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"}},
      {.names = {"falcon"}, .patterns = {R"([\p{P}$+<=>^~|`]+)", NIBBLE_GPT2, "[0-9][0-9][0-9]"}},
      {.names = {"default"},
       .patterns = {R"([\p{P}$+<=>^~|]+)", NIBBLE_GPT2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
      {.names = {"deepseek-coder"},
       .patterns = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)",
                    R"([\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+)", R"(\p{N})"}},
      {.names = {"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"},
       .patterns = {R"(\p{N}{1,3})", R"([\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+)",
                    R"([!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
                    R"( ?[\p{P}\p{S}]+[\r\n]*|)" NIBBLE_SPACES}},
      {.names = {"tekken"},
       .patterns = {NIBBLE_CASED("") R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" NIBBLE_SPACES},
       .whole_words_first = true,
       .adds_bos = true},
      {.names = {"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"},
       .patterns = {NIBBLE_CASED(NIBBLE_CONTRACTION
                                 "?") R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" NIBBLE_SPACES}},
  };
  return rows;
}

struct CodeFree {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct MatchDataFree {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct MatchContextFree {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
using Code = std::unique_ptr<pcre2_code, CodeFree>;
using MatchData = std::unique_ptr<pcre2_match_data, MatchDataFree>;
using MatchContext = std::unique_ptr<pcre2_match_context, MatchContextFree>;

constexpr uint32_t kHeapLimitKib = 64 * 1024;

// Steps an expression may take on one match: linear in the piece, far above what any row needs.
uint32_t match_limit(size_t piece_bytes) {
  return static_cast<uint32_t>(std::min<uint64_t>(1'000'000 + 32ull * piece_bytes, UINT32_MAX));
}

// Lengths of the parts into which one expression cuts one valid piece, appended to `lengths`.
void cut(const pcre2_code* code, std::string_view piece, pcre2_match_data* match,
         pcre2_match_context* context, std::vector<size_t>& lengths) {
  const size_t n_before = lengths.size();
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(piece.data());
  // Without the UTF check: the caller made the text valid, and PCRE2 would check all of it again
  // at every match.
  constexpr uint32_t kOptions = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
  pcre2_set_match_limit(context, match_limit(piece.size()));
  size_t done = 0;
  while (done < piece.size()) {
    int status = pcre2_match(code, subject, piece.size(), done, kOptions, match, context);
    if (status == PCRE2_ERROR_JIT_STACKLIMIT) {
      status =
          pcre2_match(code, subject, piece.size(), done, kOptions | PCRE2_NO_JIT, match, context);
    }
    if (status == PCRE2_ERROR_NOMATCH) break;
    if (status < 0) {  // over a limit: leave the piece as it is
      lengths.resize(n_before);
      done = 0;
      break;
    }
    const size_t* bounds = pcre2_get_ovector_pointer(match);
    if (bounds[0] > done) lengths.push_back(bounds[0] - done);
    lengths.push_back(bounds[1] - bounds[0]);
    done = bounds[1];
  }
  if (done < piece.size()) lengths.push_back(piece.size() - done);
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

}  // namespace

std::span<const PreTokenizerSpec> all_pre_tokenizers() { return table(); }

const PreTokenizerSpec* find_pre_tokenizer(std::string_view name) {
  if (name.empty()) name = "default";
  for (const PreTokenizerSpec& row : table()) {
    if (std::find(row.names.begin(), row.names.end(), name) != row.names.end()) return &row;
  }
  return nullptr;
}

std::string with_explicit_whitespace(std::string_view pattern) {
  constexpr std::string_view kWhitespace =
      R"(\x09-\x0d\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char escaped = pattern[++i];
      if (escaped == 's') {
        out += in_class ? std::string(kWhitespace) : "[" + std::string(kWhitespace) + "]";
      } else if (escaped == 'S' && !in_class) {
        out += "[^" + std::string(kWhitespace) + "]";
      } else {
        out += c;
        out += escaped;
      }
      continue;
    }
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    out += c;
  }
  return out;
}

struct PreTokenizer::State {
  std::vector<Code> codes;
};

PreTokenizer::PreTokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

Result<PreTokenizer> PreTokenizer::create(const PreTokenizerSpec& spec) {
  auto state = std::make_unique<State>();
  for (const std::string_view pattern : spec.patterns) {
    const std::string text = with_explicit_whitespace(pattern);
    int error = 0;
    size_t offset = 0;
    Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                            PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr));
    if (!code) {
      std::array<unsigned char, 200> reason{};
      pcre2_get_error_message(error, reason.data(), reason.size());
      return make_error(ErrorKind::kFailure,
                        "[tokenizer] the splitting expression \"{}\" does not compile: {} at byte "
                        "{}; it must be a PCRE2 expression",
                        text, reinterpret_cast<const char*>(reason.data()), offset);
    }
    // Where the processor has no JIT the interpreter does the same work, more slowly.
    (void)pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
    state->codes.push_back(std::move(code));
  }
  return PreTokenizer(std::move(state));
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  std::vector<std::string_view> pieces;
  if (text.empty()) return pieces;
  std::vector<size_t> replaced;  // offsets in `valid`
  std::string copy;
  std::string_view valid = text;
  if (!is_valid_utf8(text)) valid = copy = replace_invalid(text, replaced);

  const MatchData match(pcre2_match_data_create(1, nullptr));
  const MatchContext context(pcre2_match_context_create(nullptr));
  std::vector<size_t> lengths = {valid.size()}, next;
  if (match && context) {
    pcre2_set_heap_limit(context.get(), kHeapLimitKib);
    for (const Code& code : state_->codes) {
      next.clear();
      size_t begin = 0;
      for (const size_t length : lengths) {
        cut(code.get(), valid.substr(begin, length), match.get(), context.get(), next);
        begin += length;
      }
      lengths.swap(next);
    }
  }

  pieces.reserve(lengths.size());
  size_t end = 0, begin_in_text = 0;
  auto hole = replaced.begin();
  for (const size_t length : lengths) {
    end += length;
    size_t length_in_text = length;
    for (; hole != replaced.end() && *hole < end; ++hole) length_in_text -= 2;  // 3 bytes for 1
    pieces.push_back(text.substr(begin_in_text, length_in_text));
    begin_in_text += length_in_text;
  }
  return pieces;
}

}  // namespace nibble
