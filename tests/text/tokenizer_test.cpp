#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/utf8.h"
#include "tests/support/small_vocabulary.h"
#include "text/tokenizer_json.h"

namespace nibble {
namespace {

// Builds that are slow on purpose get a limit that is still far from quadratic.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define NIBBLE_SLOW_BUILD
#endif
#endif
#if !defined(NDEBUG) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NIBBLE_SLOW_BUILD
#endif
#ifdef NIBBLE_SLOW_BUILD
constexpr double kLimitSeconds = 30.0;
constexpr size_t kLongRun = 1 << 16;
#else
constexpr double kLimitSeconds = 1.0;
constexpr size_t kLongRun = 1 << 20;
#endif

constexpr EncodeOptions kPlain{.add_special = false, .parse_special = false};
constexpr EncodeOptions kParse{.add_special = false, .parse_special = true};

std::unique_ptr<Tokenizer> make(VocabularyData data = small_vocabulary()) {
  auto tokenizer = Tokenizer::create(std::move(data));
  EXPECT_TRUE(tokenizer.ok()) << (tokenizer.ok() ? "" : tokenizer.error().message);
  return tokenizer.ok() ? tokenizer.take() : nullptr;
}

// The error that `data` gives, for EXPECT_EQ on kind and a look at the message.
Error error_of(VocabularyData data) {
  const auto tokenizer = Tokenizer::create(std::move(data));
  return tokenizer.ok() ? Error{ErrorKind::kUsage, "no error"} : tokenizer.error();
}

std::vector<std::string> spellings(const Tokenizer& tokenizer, std::string_view text,
                                   const EncodeOptions& options = kPlain) {
  std::vector<std::string> result;
  for (const int32_t token : tokenizer.encode(text, options)) {
    result.push_back(tokenizer.decode(token, true));
  }
  return result;
}

using Pieces = std::vector<std::string>;

TEST(BpeTokenizer, MergesByRankAndThenFromTheLeft) {
  const auto tokenizer = make();
  EXPECT_EQ(spellings(*tokenizer, "hello"), (Pieces{"hello"}));
  EXPECT_EQ(spellings(*tokenizer, "hello world"), (Pieces{"hello", " w", "or", "l", "d"}));
  EXPECT_EQ(spellings(*tokenizer, "aaaaa"), (Pieces{"aaaa", "a"}));
  EXPECT_EQ(spellings(*tokenizer, "aaaaaaa"), (Pieces{"aaaa", "aa", "a"}));
  EXPECT_EQ(spellings(*tokenizer, ""), Pieces{});
}

TEST(BpeTokenizer, ABetterRankWinsOverAnEarlierPlace) {
  const auto tokenizer = make(small_vocabulary({{"b", "c"}, {"a", "b"}, {"bc", "d"}}));
  EXPECT_EQ(spellings(*tokenizer, "abcd"), (Pieces{"a", "bcd"}));
  EXPECT_EQ(spellings(*tokenizer, "abd"), (Pieces{"ab", "d"}));
}

TEST(BpeTokenizer, TheFirstOfTwoEqualMergesCounts) {
  auto data = small_vocabulary({{"a", "b"}, {"b", "c"}});
  data.merges.push_back("a b");
  EXPECT_EQ(spellings(*make(data), "abc"), (Pieces{"ab", "c"}));
}

// The plain definition of BPE, quadratic: what the heap must equal.
std::vector<int32_t> merge_slowly(const Tokenizer& tokenizer, std::string_view word) {
  std::vector<std::string> parts;
  for (const char byte : word) parts.push_back(byte_level_spelling(std::string(1, byte)));
  while (true) {
    size_t best_rank = SIZE_MAX, best = 0;
    const auto& merges = tokenizer.vocabulary().merges;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = std::find(merges.begin(), merges.end(), parts[i] + " " + parts[i + 1]);
      const auto rank = static_cast<size_t>(found - merges.begin());
      if (found != merges.end() && rank < best_rank) {
        best_rank = rank;
        best = i;
      }
    }
    if (best_rank == SIZE_MAX) break;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  std::vector<int32_t> tokens;
  for (const auto& part : parts) tokens.push_back(tokenizer.find(part));
  return tokens;
}

TEST(BpeTokenizer, EqualsTheDefinitionOnRandomWords) {
  const auto tokenizer = make(small_vocabulary({{"a", "b"},
                                                {"b", "a"},
                                                {"ab", "ab"},
                                                {"a", "a"},
                                                {"aa", "b"},
                                                {"b", "b"},
                                                {"c", "ab"},
                                                {"ba", "c"},
                                                {"abab", "a"},
                                                {"bb", "aa"}}));
  Random random(3);
  for (int round = 0; round < 3000; ++round) {
    std::string word;
    for (uint64_t i = 0, n = 1 + random.below(30); i < n; ++i) {
      word += static_cast<char>('a' + random.below(3));
    }
    ASSERT_EQ(tokenizer->encode(word, kPlain), merge_slowly(*tokenizer, word)) << word;
  }
}

TEST(BpeTokenizer, AnyBytesComeBack) {
  const auto tokenizer = make();
  Random random(2);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (uint64_t i = 0, n = random.below(80); i < n; ++i) {
      bytes += static_cast<char>(random.below(round % 2 == 0 ? 256 : 128));
    }
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(bytes, kPlain)), bytes);
  }
  for (const std::string_view bytes :
       {std::string_view("\0a\0", 3), std::string_view("\xed\xa0\x80"),
        std::string_view("\xc0\x80"), std::string_view("\xf5\xff\xfe"),
        std::string_view("\xef\xbf\xbf"), std::string_view("e\xcc\x81\xcc\x81")}) {
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(bytes, kPlain)), bytes);
  }
}

TEST(BpeTokenizer, SpecialTokensInTextArePlainTextUnlessAsked) {
  const auto tokenizer = make();
  for (const std::string& spelling : tokenizer->vocabulary().tokens) {
    const int32_t id = tokenizer->find(spelling);
    const TokenType type = tokenizer->vocabulary().types[static_cast<size_t>(id)];
    if (type != TokenType::kControl) continue;
    const auto plain = tokenizer->encode("x" + spelling + "y", kPlain);
    EXPECT_EQ(std::count(plain.begin(), plain.end(), id), 0) << spelling;
    EXPECT_EQ(tokenizer->decode(plain), "x" + spelling + "y");
    const auto parsed = tokenizer->encode("x" + spelling + "y", kParse);
    EXPECT_EQ(parsed, (std::vector<int32_t>{'x', id, 'y'}));
  }
}

TEST(BpeTokenizer, UserDefinedTokensAreFoundInAnyText) {
  const auto tokenizer = make();
  const int32_t user = tokenizer->find("<user>");
  EXPECT_EQ(tokenizer->encode("a<user>b", kPlain), (std::vector<int32_t>{'a', user, 'b'}));
  EXPECT_EQ(tokenizer->decode(user), "<user>");
}

TEST(BpeTokenizer, MergesNeverMakeAControlToken) {
  auto data = small_vocabulary({{"a", "b"}, {"ab", "c"}});
  data.types[257] = TokenType::kControl;  // "abc"
  const auto tokenizer = make(data);
  EXPECT_EQ(tokenizer->encode("abc", kPlain), (std::vector<int32_t>{256, 'c'}));
  EXPECT_EQ(tokenizer->encode("abc", kParse), std::vector<int32_t>{257});
}

TEST(BpeTokenizer, BosAndEosWhereTheModelAsks) {
  auto data = small_vocabulary();
  const int32_t bos = data.bos, eos = data.eos;
  EXPECT_EQ(make(data)->encode("a", {}), std::vector<int32_t>{'a'});
  data.add_bos = data.add_eos = true;
  EXPECT_EQ(make(data)->encode("a", {}), (std::vector<int32_t>{bos, 'a', eos}));
  EXPECT_EQ(make(data)->encode("", {}), (std::vector<int32_t>{bos, eos}));
  EXPECT_EQ(make(data)->encode("a", kPlain), std::vector<int32_t>{'a'});
}

TEST(BpeTokenizer, WholeWordsFirstWhereTheSplitterSaysSo) {
  // "abcd" is a token that no merge makes.
  auto data = small_vocabulary({{"a", "b"}});
  data.tokens.push_back("abcd");
  data.types.push_back(TokenType::kNormal);
  const auto whole = static_cast<int32_t>(data.tokens.size()) - 1;
  EXPECT_EQ(make(data)->encode("abcd", kPlain), (std::vector<int32_t>{256, 'c', 'd'}));
  data.pre = "llama-bpe";
  EXPECT_EQ(make(data)->encode("abcd", kPlain), std::vector<int32_t>{whole});
}

TEST(BpeTokenizer, BytesWithoutATokenFallBack) {
  auto data = small_vocabulary();
  data.tokens[0x04] = "[free]";
  // A control token in the place of `unknown` never comes out of text: the byte is dropped.
  data.unknown = data.eos;
  EXPECT_EQ(make(data)->encode("a\x04g", kPlain), (std::vector<int32_t>{'a', 'g'}));
  // A real unknown token stands for it.
  auto with_unknown = data;
  with_unknown.tokens[0x04] = "<unk>";
  with_unknown.types[0x04] = TokenType::kUnknown;
  with_unknown.unknown = 0x04;
  EXPECT_EQ(make(with_unknown)->encode("a\x04g", kPlain), (std::vector<int32_t>{'a', 4, 'g'}));
  EXPECT_EQ(make(with_unknown)->decode(4), "");
  // A byte token is better than either.
  auto with_byte = data;
  with_byte.tokens[0x04] = "<0x04>";
  with_byte.types[0x04] = TokenType::kByte;
  EXPECT_EQ(make(with_byte)->encode("a\x04g", kPlain), (std::vector<int32_t>{'a', 4, 'g'}));
  EXPECT_EQ(make(with_byte)->decode(4), "\x04");
}

TEST(BpeTokenizer, DecodeOfEveryKind) {
  auto data = small_vocabulary();
  data.tokens.insert(data.tokens.end(), {"[PAD]", "not \u4f60 alphabet", ""});
  data.types.insert(data.types.end(), {TokenType::kUnused, TokenType::kNormal, TokenType::kNormal});
  const auto tokenizer = make(data);
  EXPECT_EQ(tokenizer->decode(tokenizer->find("[PAD]")), "");
  EXPECT_EQ(tokenizer->decode(tokenizer->find("not \u4f60 alphabet")), "not \u4f60 alphabet");
  EXPECT_EQ(tokenizer->decode(tokenizer->vocab_size() - 1), "");
  EXPECT_EQ(tokenizer->decode(tokenizer->find("<s>")), "");
  EXPECT_EQ(tokenizer->decode(tokenizer->find("<s>"), true), "<s>");
  EXPECT_EQ(tokenizer->decode(-1), "");
  EXPECT_EQ(tokenizer->decode(tokenizer->vocab_size()), "");
  EXPECT_EQ(tokenizer->find("nothing"), -1);
  EXPECT_EQ(tokenizer->find(""), -1);
}

TEST(Tokenizer, IsEnd) {
  auto data = small_vocabulary();
  data.tokens.insert(data.tokens.end(), {"<|end|>", "<end_of_turn>", "<|eot_id|>", "<EOT>"});
  // The last two are not marked as control tokens: the first of them is taken as one by its form.
  data.types.insert(data.types.end(), {TokenType::kControl, TokenType::kControl, TokenType::kNormal,
                                       TokenType::kNormal});
  data.eot = 'q';
  std::vector<std::string> warnings;
  set_log_sink([&](std::string_view text) { warnings.emplace_back(text); });
  const auto tokenizer = make(data);
  set_log_sink({});
  EXPECT_EQ(warnings.size(), 1u);
  for (const auto* end : {"</s>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|eot_id|>", "q"}) {
    EXPECT_TRUE(tokenizer->is_end(tokenizer->find(end))) << end;
  }
  for (const auto* other : {"<s>", "<|im_start|>", "<EOT>", "a", "<user>"}) {
    EXPECT_FALSE(tokenizer->is_end(tokenizer->find(other))) << other;
  }
  EXPECT_FALSE(tokenizer->is_end(-1));
  EXPECT_FALSE(tokenizer->is_end(tokenizer->vocab_size()));
  // Where <|return|> ends the answer, <|end|> ends only a part of it.
  data.tokens.push_back("<|return|>");
  data.types.push_back(TokenType::kControl);
  const auto parts = make(data);
  EXPECT_FALSE(parts->is_end(parts->find("<|end|>")));
  EXPECT_TRUE(parts->is_end(parts->find("<|return|>")));
}

TEST(Tokenizer, UnsupportedKindsSayWhatIsSupported) {
  auto data = small_vocabulary();
  data.model = "rwkv";
  EXPECT_EQ(error_of(data).kind, ErrorKind::kFailure);
  EXPECT_NE(error_of(data).message.find("gpt2"), std::string::npos);
  data.model = "other\x1b[31m";
  EXPECT_EQ(error_of(data).message.find('\x1b'), std::string::npos);
  data = small_vocabulary();
  data.pre = "gpt-99";
  EXPECT_EQ(error_of(data).kind, ErrorKind::kFailure);
  EXPECT_NE(error_of(data).message.find("gpt-99"), std::string::npos);
  EXPECT_NE(error_of(data).message.find("smollm"), std::string::npos);
}

TEST(Tokenizer, ContradictoryVocabularies) {
  const auto expect_invalid = [](const char* what, auto change) {
    VocabularyData data = small_vocabulary();
    change(data);
    const Error error = error_of(std::move(data));
    EXPECT_EQ(error.kind, ErrorKind::kInvalid) << what << ": " << error.message;
  };
  const auto n = static_cast<int32_t>(small_vocabulary().tokens.size());
  expect_invalid("no tokens", [](auto& d) {
    d.tokens.clear();
    d.types.clear();
    d.merges.clear();
    d.bos = d.eos = -1;
  });
  for (int32_t VocabularyData::*id :
       {&VocabularyData::bos, &VocabularyData::eos, &VocabularyData::eot, &VocabularyData::unknown,
        &VocabularyData::padding}) {
    for (const int32_t value : {n, INT32_MAX, -2, INT32_MIN}) {
      expect_invalid("special id", [&](auto& d) { d.*id = value; });
    }
  }
  expect_invalid("too few types", [](auto& d) { d.types.pop_back(); });
  expect_invalid("too many types", [](auto& d) { d.types.push_back(TokenType::kNormal); });
  expect_invalid("duplicate", [](auto& d) { d.tokens[5] = d.tokens[6]; });
  expect_invalid("BOS wanted, none named", [](auto& d) {
    d.add_bos = true;
    d.bos = -1;
  });
  expect_invalid("EOS wanted, none named", [](auto& d) {
    d.add_eos = true;
    d.eos = -1;
  });
  for (const char* merge : {"", " ", "a", "a ", " a", "a  b", "zz y", "y zz", "y z", "y z z"}) {
    expect_invalid(merge, [&](auto& d) { d.merges.push_back(merge); });
  }
  for (const char* byte : {"<0x-1>", "<0xZZ>", "<0x>", "<0x100>", "0x10", "<0X10>", "<0x10"}) {
    expect_invalid(byte, [&](auto& d) {
      d.tokens.push_back(byte);
      d.types.push_back(TokenType::kByte);
    });
  }
  expect_invalid("huge token", [](auto& d) { d.tokens[7] = std::string(100'000, 'x'); });
  expect_invalid("huge special token",
                 [](auto& d) { d.tokens.back() = "<" + std::string(300, 'x') + ">"; });
}

TEST(Tokenizer, ToleratedOddities) {
  auto data = small_vocabulary();
  // Two empty tokens, one that is no UTF-8, types missing altogether.
  data.tokens.insert(data.tokens.end(), {"", "", "\xff\xfe"});
  data.types.clear();
  const auto tokenizer = make(data);
  EXPECT_EQ(tokenizer->decode(tokenizer->find("\xff\xfe")), "\xff\xfe");
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("\xff\xfe", kPlain)), "\xff\xfe");
  // No splitter named: the default one, with a warning.
  data.pre.clear();
  std::string warning;
  set_log_sink([&](std::string_view text) { warning = text; });
  EXPECT_NE(make(data), nullptr);
  set_log_sink({});
  EXPECT_NE(warning.find("tokenizer.ggml.pre"), std::string::npos);
}

VocabularyData golden_vocabulary(const std::string& name) {
  const auto text = read_text_file(NIBBLE_TEST_DATA "/golden/tokenizers/" + name + ".json");
  EXPECT_TRUE(text.ok()) << name;
  auto data = read_tokenizer_json(text.ok() ? *text : "", name);
  EXPECT_TRUE(data.ok()) << name;
  return data.ok() ? data.take() : VocabularyData();
}

// The pieces of llama2.json as SentencePiece has them, with one that no merge makes of spaces.
VocabularyData t5_vocabulary() {
  VocabularyData data = golden_vocabulary("unigram");
  data.huggingface_json.clear();
  return data;
}

TEST(Tokenizer, LongRunsTakeUnderASecond) {
  std::vector<std::string> texts = {std::string(kLongRun, 'a'),       std::string(kLongRun, ' '),
                                    std::string(kLongRun, ' ') + "x", std::string(kLongRun, '1'),
                                    std::string(kLongRun, '<'),       std::string(kLongRun, '\xff'),
                                    std::string(kLongRun, '\n')};
  const auto repeated = [&](std::string_view unit) {
    texts.emplace_back();
    while (texts.back().size() < kLongRun) texts.back() += unit;
  };
  repeated("ab");
  repeated("\u0301");
  repeated("\u0301\u0316");  // marks that a normal form reorders
  repeated("\u4f60");
  repeated("\U0001F600");
  repeated("\r\n");
  std::vector<std::pair<std::string, VocabularyData>> kinds = {{"small", small_vocabulary()},
                                                               {"t5", t5_vocabulary()}};
  for (const auto* name :
       {"gpt2", "llama3", "qwen2", "smollm", "roberta", "llama2", "gemma", "mistral", "unigram",
        "unigram_bytes", "word_piece", "word_level", "suffixed"}) {
    kinds.emplace_back(name, golden_vocabulary(name));
  }
  for (const auto& [name, data] : kinds) {
    const auto tokenizer = make(data);
    ASSERT_NE(tokenizer, nullptr);
    for (const std::string& text : texts) {
      // Processor time, so that a busy machine does not fail the test.
      const std::clock_t start = std::clock();
      const auto tokens = tokenizer->encode(text, kPlain);
      const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
      EXPECT_LT(seconds, kLimitSeconds) << name << ": " << text.substr(0, 4);
      if (name == "small") {
        EXPECT_EQ(tokenizer->decode(tokens), text);
      }
    }
  }
}

TEST(Tokenizer, ManyThreadsMayEncode) {
  const auto tokenizer = make();
  const std::string text = "hello world  aaaaaaa <user> \xff";
  const auto want = tokenizer->encode(text, kPlain);
  std::vector<std::thread> threads;
  std::vector<int> n_equal(4, 0);
  for (size_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 200; ++k) n_equal[i] += tokenizer->encode(text, kPlain) == want;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(n_equal, std::vector<int>(4, 200));
}

TEST(StreamDecoder, NeverCutsACharacter) {
  const auto tokenizer = make();
  const std::string text = "a\u00e9\u4f60\U0001f600z";
  StreamDecoder decoder(*tokenizer);
  std::string all;
  for (const int32_t token : tokenizer->encode(text, kPlain)) {
    const std::string part = decoder.push(token);
    EXPECT_TRUE(is_valid_utf8(part));
    all += part;
  }
  EXPECT_EQ(all, text);
  EXPECT_EQ(decoder.flush(), "");
}

TEST(StreamDecoder, FlushGivesTheRestAsItIs) {
  const auto tokenizer = make();
  StreamDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.push(0xe4), "");
  EXPECT_EQ(decoder.push(0xbd), "");
  EXPECT_EQ(decoder.flush(), "\xe4\xbd");
  EXPECT_EQ(decoder.flush(), "");
  EXPECT_EQ(decoder.push(0xff), "\xff");  // no beginning of anything
  EXPECT_EQ(decoder.push(tokenizer->find("<s>")), "");
}

}  // namespace
}  // namespace nibble
