// Strings and arrays around 2^31 that are really there: files with holes, which take no room on the
// disk. Refused soon, and before anything is copied.
#include <gtest/gtest.h>

#include <ctime>
#include <filesystem>
#include <fstream>

#include "container/gguf.h"
#include "tests/base/scratch.h"
#include "tests/container/allocation_probe.h"
#include "tests/container/gguf_bytes.h"

namespace nibble {
namespace {

constexpr uint64_t kTwoGiB = uint64_t{1} << 31;

// `head`, then zeros up to `size`. False where the file system has no files of that size.
bool write_sparse(const std::filesystem::path& path, const std::string& head, uint64_t size) {
  std::ofstream(path, std::ios::binary) << head;
  std::error_code failed;
  std::filesystem::resize_file(path, size, failed);
  return !failed;
}

void expect_refused(const test::GgufBytes& head, uint64_t n_behind, std::string_view part) {
  const auto path = test::scratch_folder() / "sparse.gguf";
  if (!write_sparse(path, head.text(), head.size() + n_behind)) {
    GTEST_SKIP() << "no files of " << n_behind << " bytes here";
  }
  test::reset_allocation_probe();
  const std::clock_t start = std::clock();
  const auto file = GgufFile::open(path);
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  std::filesystem::remove(path);
  ASSERT_FALSE(file.ok()) << part;
  EXPECT_EQ(file.error().kind, ErrorKind::kInvalid);
  EXPECT_NE(file.error().message.find(part), std::string::npos) << file.error().message;
  EXPECT_LT(seconds, 1.0) << part;
  EXPECT_LT(test::peak_allocated(), size_t{64} << 20) << part;
}

TEST(GgufSparse, OneTokenOfTwoGiB) {
  for (const uint64_t n : {kTwoGiB - 1, kTwoGiB, kTwoGiB + 8, 2 * kTwoGiB + 8}) {
    test::GgufBytes file;
    file.header(0, 1).array_entry("tokenizer.ggml.tokens", 8, 1).number(n);
    expect_refused(file, n + 64, "tokenizer.ggml.tokens");
  }
}

TEST(GgufSparse, TwoToThe31Tokens) {
  for (const uint64_t n : {kTwoGiB - 1, kTwoGiB, kTwoGiB + 1}) {
    test::GgufBytes file;
    file.header(0, 1).array_entry("tokenizer.ggml.tokens", 8, n);  // all empty
    expect_refused(file, n * 8 + 64, "tokenizer.ggml.tokens");
  }
}

TEST(GgufSparse, OtherValuesOfTwoGiB) {
  test::GgufBytes text, scores, types;
  text.header(0, 1).string("tokenizer.chat_template").number(uint32_t{8}).number(kTwoGiB + 1);
  expect_refused(text, kTwoGiB + 64, "tokenizer.chat_template");
  scores.header(0, 1).array_entry("tokenizer.ggml.scores", 6, kTwoGiB + 1);
  expect_refused(scores, 4 * kTwoGiB + 64, "tokenizer.ggml.scores");
  types.header(0, 1).array_entry("tokenizer.ggml.token_type", 5, kTwoGiB / 2);
  expect_refused(types, 2 * kTwoGiB + 64, "tokenizer.ggml.token_type");
}

}  // namespace
}  // namespace nibble
