// The memory of a run does not grow with the model.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/memory.h"
#include "quantize/pipeline.h"
#include "tests/support/tiny_model.h"

namespace nibble {
namespace {

using testing::ScratchFolder;

int64_t anonymous_bytes() { return process_memory().anonymous; }

// `n_tensors` matrices of 4096 x 1024 floats (16 MiB each), repeating one small piece.
void write_large(const std::filesystem::path& path, int n_tensors) {
  GgufMetadata metadata;
  metadata.set("general.architecture", GgufValue::of_string("llama"));
  GgufWriter writer(path, std::move(metadata));
  const int64_t dims[] = {4096, 1024};
  for (int i = 0; i < n_tensors; ++i) {
    ASSERT_TRUE(
        writer.add_tensor(tensor_name(TensorRole::attn_q, i), format_of(FormatId::F32), dims).ok());
  }
  ASSERT_TRUE(writer.begin().ok());
  Random random(1);
  std::vector<float> piece(size_t{1} << 18);
  for (float& value : piece) value = static_cast<float>(random.uniform() - 0.5);
  const auto bytes = std::as_bytes(std::span(piece));
  for (size_t i = 0; i < static_cast<size_t>(n_tensors); ++i) {
    for (uint64_t offset = 0; offset < 4096 * 1024 * 4; offset += bytes.size()) {
      ASSERT_TRUE(writer.write(i, offset, bytes).ok());
    }
  }
  ASSERT_TRUE(writer.finish().ok());
}

TEST(Memory, AnonymousBytesStayFarBelowTheModel) {
  if (anonymous_bytes() <= 0) GTEST_SKIP() << "this system has no RssAnon in /proc/self/status";
  const ScratchFolder folder;
  write_large(folder / "in.gguf", 6);  // 96 MiB
  ThreadPool pool(4);
  const int64_t before = anonymous_bytes();
  int64_t peak = before;
  const auto progress = [&](uint64_t, uint64_t) { peak = std::max(peak, anonymous_bytes()); };
  const auto report = quantize_file(folder / "in.gguf", folder / "out.gguf", {.to = "Q8_0"}, pool,
                                    progress, nullptr);
  ASSERT_TRUE(report.ok()) << report.error().message;
  // four threads with 1 MiB each, and what the allocator keeps; a sanitizer doubles that
  EXPECT_LE(peak - before, 16 << 20);
  EXPECT_GT(peak, 0);
}

}  // namespace
}  // namespace nibble
