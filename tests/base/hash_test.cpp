#include "base/hash.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace nibble {
namespace {

std::string hash_of(std::string_view text) { return sha256_hex(std::as_bytes(std::span(text))); }

// Vectors of FIPS 180-2, appendix B.
TEST(Sha256, KnownVectors) {
  EXPECT_EQ(hash_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hash_of(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesAndMoves) {
  Sha256 first;
  first.update(std::as_bytes(std::span(std::string_view("a"))));
  Sha256 hash = std::move(first);
  hash.update({});
  hash.update(std::as_bytes(std::span(std::string_view("bc"))));
  EXPECT_EQ(hash.finish(), hash_of("abc"));
}

}  // namespace
}  // namespace nibble
