#include "text/pretokenize.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/utf8.h"

namespace nibble {
namespace {

// Parts that several expressions share.
#define NIBBLE_CONTRACTION R"((?i:'s|'t|'re|'ve|'m|'ll|'d))"
#define NIBBLE_SPACES R"(\s*[\r\n]+|\s+(?!\S)|\s+)"
#define NIBBLE_GPT2                                                 \
  R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+)" \
  R"(|\s+(?!\S)|\s+)"
#define NIBBLE_LLAMA3 \
  NIBBLE_CONTRACTION  \
  R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" NIBBLE_SPACES
#define NIBBLE_QWEN2 \
  NIBBLE_CONTRACTION \
  R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" NIBBLE_SPACES
// Words by case: "camelCase" is two. Lm, Lo and marks count as both cases.
#define NIBBLE_CAPITALS R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define NIBBLE_SMALL R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define NIBBLE_CASED(suffix)                                          \
  R"([^\r\n\p{L}\p{N}]?)" NIBBLE_CAPITALS "*" NIBBLE_SMALL "+" suffix \
  R"(|[^\r\n\p{L}\p{N}]?)" NIBBLE_CAPITALS "+" NIBBLE_SMALL "*" suffix
#define NIBBLE_GPT4O \
  NIBBLE_CASED(NIBBLE_CONTRACTION "?") R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" NIBBLE_SPACES
// The same without Han characters, which are words of their own.
#define NIBBLE_CAPITALS_NO_HAN R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]])"
#define NIBBLE_SMALL_NO_HAN R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]])"
#define NIBBLE_ASCII_PUNCTUATION R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~])"
#define NIBBLE_KANA R"([\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+)"
#define NIBBLE_DEEPSEEK3_WORDS \
  NIBBLE_ASCII_PUNCTUATION     \
  R"([A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|)" NIBBLE_SPACES
#define NIBBLE_BLOOM R"( ?[^(\s|[.,!?\x{2026}\x{3002}\x{ff0c}\x{3001}\x{964}\x{6d4}\x{60c}])]+)"

// Letters with case, as DeepSeek's first models list them.
constexpr std::string_view kCasedLetters =
    R"(\s?[A-Za-z\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf}\x{1c4}-\x{293})"
    R"(\x{295}-\x{2af}\x{370}-\x{373}\x{376}\x{377}\x{37b}-\x{37d}\x{37f}\x{386}\x{388}-\x{38a})"
    R"(\x{38c}\x{38e}-\x{3a1}\x{3a3}-\x{3f5}\x{3f7}-\x{481}\x{48a}-\x{52f}\x{531}-\x{556})"
    R"(\x{10a0}-\x{10c5}\x{13a0}-\x{13f5}\x{13f8}-\x{13fd}\x{1c90}-\x{1cba}\x{1cbd}-\x{1cbf})"
    R"(\x{1d00}-\x{1d2b}\x{1d6b}-\x{1d77}\x{1d79}-\x{1d9a}\x{1e00}-\x{1f15}\x{1f18}-\x{1f1d})"
    R"(\x{1f20}-\x{1f45}\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}\x{1f5b}\x{1f5d})"
    R"(\x{1f5f}-\x{1f7d}\x{1f80}-\x{1fb4}\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4})"
    R"(\x{1fc6}-\x{1fcc}\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}\x{1fe0}-\x{1fec}\x{1ff2}-\x{1ff4})"
    R"(\x{1ff6}-\x{1ffc}\x{2102}\x{2107}\x{210a}-\x{2113}\x{2115}\x{2119}-\x{211d}\x{2124})"
    R"(\x{2126}\x{2128}\x{212a}-\x{212d}\x{212f}-\x{2134}\x{2139}\x{213c}-\x{213f})"
    R"(\x{2145}-\x{2149}\x{214e}\x{2183}\x{2184}\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4})"
    R"(\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3}\x{a640}-\x{a66d}\x{a680}-\x{a69b}\x{a722}-\x{a76f})"
    R"(\x{a771}-\x{a787}\x{a78b}-\x{a78e}\x{ab70}-\x{abbf}\x{fb00}-\x{fb06}\x{fb13}-\x{fb17})"
    R"(\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}\x{10400}-\x{1044f}\x{104b0}-\x{104d3})"
    R"(\x{104d8}-\x{104fb}\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2}\x{118a0}-\x{118df})"
    R"(\x{1e900}-\x{1e943}]+)";

std::vector<PreTokenizerSpec> plain_rows() {
  return {
      {.names = {"gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de",
                 "a.x-4.0", "mellum", "modern-bert", "exaone4", "mpt", "olmo", "jais", "trillion",
                 "jina-v1-en", "jina-v2-code", "roberta-bpe", "granite-docling"},
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
       .patterns = {NIBBLE_QWEN2}},
      {.names = {"qwen35"},
       .patterns = {NIBBLE_CONTRACTION R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|)"
                                       R"( ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)" NIBBLE_SPACES}},
      {.names = {"seed-coder"},
       .patterns = {NIBBLE_CONTRACTION R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}|)"
                                       R"( ?[^\s\p{L}\p{N}\r\n]+|)" NIBBLE_SPACES}},
      {.names = {"ufakzeka"},
       .patterns = {R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" NIBBLE_SPACES}},
      {.names = {"laguna"}, .patterns = {R"([^\n]+|[\n]+)", NIBBLE_QWEN2}},
      {.names = {"minicpm5"},
       .patterns = {R"(\p{N}{1,3})", NIBBLE_CONTRACTION
                    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|)" NIBBLE_SPACES},
       .whole_words_first = true},
      {.names = {"exaone-moe"},
       .patterns = {NIBBLE_CONTRACTION
                    R"(|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}|)"
                    R"( ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)"}},
      {.names = {"bailingmoe", "bailingmoe2", "llada-moe"},
       .patterns = {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}|)"
                    R"( ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"}},
      {.names = {"jais-2"},
       .patterns = {NIBBLE_CONTRACTION
                    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|)"
                    R"(\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|)"
                    R"(\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})"}},
      {.names = {"falcon"}, .patterns = {R"([\p{P}$+<=>^~|`]+)", NIBBLE_GPT2, "[0-9][0-9][0-9]"}},
      {.names = {"default"},
       .patterns = {R"([\p{P}$+<=>^~|]+)", NIBBLE_GPT2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
      {.names = {"poro-chat", "bloom", "gpt3-finnish"}, .patterns = {NIBBLE_BLOOM}},
      {.names = {"viking"}, .patterns = {NIBBLE_BLOOM, R"(\p{N})"}},
      {.names = {"chameleon"},
       .patterns = {"<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
                    R"(([\t\n]|    |  ))", R"(\p{N})", R"([\p{P}!-/:-@\[-`{-~])", NIBBLE_GPT2},
       .adds_bos = true},
      {.names = {"superbpe"}, .patterns = {R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"}},
  };
}

std::vector<PreTokenizerSpec> scripts_and_cases_rows() {
  return {
      {.names = {"deepseek-coder"},
       .patterns = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)",
                    R"([\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+)", R"(\p{N})"}},
      {.names = {"deepseek-llm"},
       .patterns = {R"([\r\n])", kCasedLetters,
                    R"(\s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f})"
                    R"(\x{3000}-\x{3002}]+)",
                    R"(\s+$)", R"([\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+)",
                    R"(\p{N}+)"}},
      {.names = {"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"},
       .patterns = {R"(\p{N}{1,3})", NIBBLE_KANA, NIBBLE_DEEPSEEK3_WORDS}},
      {.names = {"spark2_5"},
       .patterns = {R"(\p{N}{1,3})", NIBBLE_KANA,
                    NIBBLE_ASCII_PUNCTUATION
                    R"([A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|)"
                    R"(\s+(?!\S)|\s+)",
                    R"(\p{N})"}},
      // Digits in threes from the right; the look-ahead counts the rest of the number.
      {.names = {"afmoe"},
       .patterns = {R"(\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N})))",
                    R"([\x{4e00}-\x{9fff}\x{3400}-\x{4dbf}\x{8c48}-\x{faff}\x{3040}-\x{309f})"
                    R"(\x{30a0}-\x{30ff}\x{ff65}-\x{ff9f}\x{2f00}-\x{2fdf}\x{e40}-\x{e7f})"
                    R"(\x{e80}-\x{eff}\x{1780}-\x{17ff}\x{1000}-\x{109f}\x{aa60}-\x{aa7f})"
                    R"(\x{a9e0}-\x{a9ff}\x{ac00}-\x{d7af}\x{1100}-\x{11ff}]+)",
                    NIBBLE_DEEPSEEK3_WORDS}},
      {.names = {"youtu"},
       .patterns =
           {R"([\x{ac00}-\x{d7a3}\x{3131}-\x{318e}]+|)"
            R"([\x{ff01}\x{2026}\x{201c}\x{201d}\x{2018}\x{2019}\x{2014}\x{ff1a}\x{ff1b})"
            R"(\x{ff0c}\x{3001}-\x{303f}\x{fe30}-\x{fe4f}]+|[\x{3105}-\x{312f}]+|)" NIBBLE_KANA,
            NIBBLE_CASED(NIBBLE_CONTRACTION
                         "?") R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" NIBBLE_SPACES},
       .whole_words_first = true},
      {.names = {"tekken"},
       .patterns = {NIBBLE_CASED("") R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)" NIBBLE_SPACES},
       .whole_words_first = true,
       .adds_bos = true},
      {.names = {"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"},
       .patterns = {NIBBLE_GPT4O}},
      {.names = {"granite-embed-multi-97m"}, .patterns = {NIBBLE_GPT4O}, .whole_words_first = true},
      {.names = {"tiny_aya", "cohere2moe"},
       .patterns = {R"(\d{1,3}(?=(?:\d{3})*\b))", NIBBLE_GPT4O}},
      {.names = {"kimi-k2"},
       .patterns = {R"([\p{Han}]+|[^\r\n\p{L}\p{N}]?)" NIBBLE_CAPITALS_NO_HAN
                    "*" NIBBLE_SMALL_NO_HAN "+" NIBBLE_CONTRACTION
                    R"(?|[^\r\n\p{L}\p{N}]?)" NIBBLE_CAPITALS_NO_HAN "+" NIBBLE_SMALL_NO_HAN
                    "*" NIBBLE_CONTRACTION
                    R"(?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)" NIBBLE_SPACES}},
      {.names = {"gemma4", "granite-embed-multi-311m"},
       .patterns = {R"([^\n]+|[\n]+)"},
       .adds_bos = true,
       .is_byte_level = false},
      {.names = {"sarvam-moe"}, .patterns = {R"([^\n]+|[\n]+)"}, .is_byte_level = false},
      {.names = {"whitespace"},
       .patterns = {R"(\S+)"},
       .is_byte_level = false,
       .drops_spaces = true},
  };
}

const std::vector<PreTokenizerSpec>& table() {
  static const std::vector<PreTokenizerSpec> rows = [] {
    std::vector<PreTokenizerSpec> all = plain_rows();
    for (PreTokenizerSpec& row : scripts_and_cases_rows()) all.push_back(std::move(row));
    return all;
  }();
  return rows;
}

// "\n" and characters outside ASCII as escapes, as the table has them.
std::string with_escapes(std::string_view pattern) {
  std::string out;
  while (!pattern.empty()) {
    const CodePoint point = decode_utf8(pattern);
    if (point.value == '\n' || point.value == '\r') {
      out += point.value == '\n' ? "\\n" : "\\r";
    } else if (point.value >= 0x80) {
      out += fmt::format("\\x{{{:x}}}", point.value);
    } else {
      out += pattern[0];
    }
    pattern.remove_prefix(point.length);
  }
  return out;
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

const PreTokenizerSpec* match_pre_tokenizer(std::span<const std::string> patterns,
                                            bool whole_words_first) {
  for (const PreTokenizerSpec& row : table()) {
    const bool is_equal =
        row.is_byte_level && row.whole_words_first == whole_words_first &&
        std::equal(row.patterns.begin(), row.patterns.end(), patterns.begin(), patterns.end(),
                   [](std::string_view ours, const std::string& theirs) {
                     return ours == with_escapes(theirs);
                   });
    if (is_equal) return &row;
  }
  return nullptr;
}

Result<SplitterChain> make_splitters(const PreTokenizerSpec& spec) {
  SplitterChain chain;
  for (const std::string_view pattern : spec.patterns) {
    ASSIGN_OR_RETURN(Regex regex, Regex::compile(pattern));
    const auto behavior = spec.drops_spaces ? SplitBehavior::kRemoved : SplitBehavior::kIsolated;
    chain.push_back(make_regex_splitter(std::move(regex), behavior, spec.drops_spaces));
  }
  if (spec.is_byte_level) chain.push_back(make_byte_level_splitter(false, std::nullopt));
  return chain;
}

std::string_view gpt2_pattern() { return NIBBLE_GPT2; }

}  // namespace nibble
