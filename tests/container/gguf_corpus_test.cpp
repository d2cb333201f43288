// Replays the corpus of the fuzz target: seeds, and every input that ever broke something.
#include <gtest/gtest.h>

#include <filesystem>

#include "container/gguf.h"
#include "tests/container/gguf_bytes.h"
#include "tests/container/gguf_touch.h"

namespace nibble {
namespace {

TEST(GgufCorpus, NoInputBreaksTheReader) {
  const auto folder = std::filesystem::path(NIBBLE_TEST_DATA) / "fuzz" / "corpus" / "gguf";
  int n_files = 0, n_accepted = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    SCOPED_TRACE(entry.path());
    const auto bytes = read_text_file(entry.path());
    ASSERT_TRUE(bytes.ok());
    const auto file = GgufFile::parse(std::as_bytes(std::span(*bytes)), "corpus");
    ++n_files;
    if (!file.ok()) continue;
    ++n_accepted;
    test::touch_everything(*file);
  }
  EXPECT_GE(n_files, 8);
  EXPECT_GE(n_accepted, 2) << "without valid seeds the fuzzer starts from nothing";
}

}  // namespace
}  // namespace nibble
