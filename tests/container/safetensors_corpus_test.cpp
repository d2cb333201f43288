// Replays the corpus of the fuzz target: seeds, and every input that ever broke something.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "container/safetensors.h"

namespace nibble {
namespace {

TEST(SafetensorsCorpus, EveryFileIsReadOrRefused) {
  size_t n_files = 0, n_read = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(NIBBLE_TEST_DATA "/fuzz/corpus/safetensors")) {
    SCOPED_TRACE(entry.path().string());
    const auto text = read_text_file(entry.path());
    ASSERT_TRUE(text.ok()) << text.error().message;
    ++n_files;
    const auto json = parse_json(*text, "corpus");
    EXPECT_TRUE(json.ok() || !json.error().message.empty());
    const auto file = SafetensorsFile::parse(std::as_bytes(std::span(*text)), "corpus");
    if (!file.ok()) {
      EXPECT_EQ(file.error().kind, ErrorKind::kInvalid) << file.error().message;
      continue;
    }
    ++n_read;
    uint64_t total = 0;
    for (const SafeTensor& tensor : file->tensors()) {
      ASSERT_EQ(file->find(tensor.name), &tensor);
      total += file->data(tensor).size();
    }
    EXPECT_LE(total, text->size());
  }
  EXPECT_GE(n_files, 8u);
  EXPECT_GE(n_read, 1u);
  EXPECT_LT(n_read, n_files);
}

}  // namespace
}  // namespace nibble
