#include "text/sentencepiece.h"

#include <gtest/gtest.h>

#include <bit>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"

namespace nibble {
namespace {

using Ids = std::vector<int32_t>;

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
std::string number_field(uint32_t id, uint64_t value) { return varint(id << 3) + varint(value); }
std::string bytes_field(uint32_t id, const std::string& bytes) {
  return varint(id << 3 | 2) + varint(bytes.size()) + bytes;
}
std::string piece(const std::string& text, float score, uint64_t type = 1) {
  std::string bytes = bytes_field(1, text) + varint(2 << 3 | 5);
  const auto bits = std::bit_cast<uint32_t>(score);
  for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(bits >> shift);
  return bytes_field(1, bytes + number_field(3, type));
}

constexpr uint64_t kUnigram = 1, kBpe = 2;

// Ids: <unk> 0, <s> 1, </s> 2, <0x00> to <0xFF> 3 to 258, then the pieces from 259 on.
std::string model(uint64_t type, bool adds_prefix = true) {
  std::string bytes = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3);
  for (int byte = 0; byte < 256; ++byte) bytes += piece(fmt::format("<0x{:02X}>", byte), 0, 6);
  bytes += piece("\u2581", -3) + piece("a", -4) + piece("b", -5) + piece("ab", -1) +
           piece("\u2581a", -2) + piece("<tool>", 0, 4);
  bytes += bytes_field(2, number_field(3, type));
  return bytes + bytes_field(3, number_field(3, adds_prefix ? 1 : 0) + number_field(4, 0));
}

Ids encode(const std::string& bytes, std::string_view text, const EncodeOptions& options = {}) {
  const auto data = read_sentencepiece(bytes, "tokenizer.model");
  EXPECT_TRUE(data.ok()) << (data.ok() ? "" : data.error().message);
  if (!data.ok()) return {};
  return (*Tokenizer::create(*data))->encode(text, options);
}

constexpr EncodeOptions kPlain{.add_special = false};

TEST(SentencePiece, PairsByScore) {
  const std::string bytes = model(kBpe);
  // "ab" (-1) beats "\u2581a" (-2), although that stands first.
  EXPECT_EQ(encode(bytes, "ab", kPlain), (Ids{259, 262}));
  EXPECT_EQ(encode(bytes, "a b", kPlain), (Ids{263, 259, 261}));
  EXPECT_EQ(encode(bytes, "a"), (Ids{1, 263}));
  EXPECT_EQ(encode(bytes, "a", {.add_special = false, .at_start = false}), Ids{260});
  EXPECT_EQ(encode(model(kBpe, false), "a", kPlain), Ids{260});
  EXPECT_EQ(encode(bytes, "", kPlain), Ids{});
}

TEST(SentencePiece, BytesWithoutAPieceFallBack) {
  EXPECT_EQ(encode(model(kBpe, false), "\u00e9\xff", kPlain), (Ids{3 + 0xc3, 3 + 0xa9, 3 + 0xff}));
  const auto data = read_sentencepiece(model(kBpe), "tokenizer.model");
  ASSERT_TRUE(data.ok());
  const auto tokenizer = Tokenizer::create(*data).take();
  for (const std::string text : {"ab a", "\u4f60 b\xff\xc3", "  a", "\ufffd"}) {
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, {})), text);
  }
}

TEST(SentencePiece, UnigramTakesTheBestSum) {
  const std::string bytes = model(kUnigram);
  EXPECT_EQ(encode(bytes, "ab", kPlain), (Ids{259, 262}));  // -3 - 1, not -2 - 5
  EXPECT_EQ(encode(bytes, "ab"), (Ids{259, 262, 2}));
  EXPECT_EQ(encode(bytes, "a\u00e9", kPlain), (Ids{263, 3 + 0xc3, 3 + 0xa9}));
}

TEST(SentencePiece, SpecialPiecesInTextArePlainUnlessAsked) {
  for (const uint64_t type : {kUnigram, kBpe}) {
    const auto plain = encode(model(type), "<s>a</s><unk>", kPlain);
    for (const int32_t id : plain) EXPECT_GT(id, 2);
    EXPECT_EQ(encode(model(type), "<s>a", {.add_special = false, .parse_special = true}),
              (Ids{1, 263}));
    EXPECT_EQ(encode(model(type, false), "a<tool>", kPlain), (Ids{260, 264}));
  }
}

TEST(SentencePiece, DamagedFilesAreErrors) {
  const std::string good = model(kBpe);
  for (size_t n = 0; n < good.size(); ++n) {
    const auto data = read_sentencepiece(good.substr(0, n), "tokenizer.model");
    if (!data.ok()) {
      EXPECT_EQ(data.error().kind, ErrorKind::kInvalid) << n;
    }
  }
  const auto expect_error = [](const std::string& bytes, ErrorKind kind) {
    const auto data = read_sentencepiece(bytes, "tokenizer.model");
    ASSERT_FALSE(data.ok());
    EXPECT_EQ(data.error().kind, kind) << data.error().message;
  };
  expect_error("", ErrorKind::kInvalid);
  expect_error("PK\x03\x04", ErrorKind::kInvalid);
  for (const char* byte : {"<0x-1>", "<0xZZ>", "<0x>", "<0x100>"}) {
    expect_error(good + piece(byte, 0, 6), ErrorKind::kInvalid);
  }
  expect_error(good + piece("a", 0), ErrorKind::kInvalid);     // twice
  expect_error(good + piece("\xff", 0), ErrorKind::kInvalid);  // not UTF-8
  expect_error(good + piece("x", 0, 7), ErrorKind::kInvalid);  // no such type
  expect_error(good + piece("x", std::numeric_limits<float>::quiet_NaN()), ErrorKind::kInvalid);
  expect_error(good + piece(std::string(100'000, 'x'), 0), ErrorKind::kInvalid);
  expect_error(good + bytes_field(2, number_field(3, 3)), ErrorKind::kFailure);  // word model
  expect_error(good + varint(1 << 3 | 2) + varint(uint64_t{1} << 40), ErrorKind::kInvalid);
  expect_error(good + bytes_field(3, bytes_field(2, "\x08")), ErrorKind::kInvalid);  // charsmap
}

TEST(SentencePiece, ChangedBytesNeverCrash) {
  const std::string good = model(kUnigram);
  Random random(4);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = good;
    for (uint64_t i = 0, n = 1 + random.below(4); i < n; ++i) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    }
    const auto data = read_sentencepiece(bytes, "tokenizer.model");
    if (data.ok()) (void)(*Tokenizer::create(*data))->encode("a b<tool>\xff", {});
  }
}

}  // namespace
}  // namespace nibble
