// A model that is cut while it is quantized: an error, no signal, and no output.
#include <gtest/gtest.h>

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/mapping_guard.h"
#include "quantize/pipeline.h"
#include "tests/support/tiny_model.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;
using testing::ScratchFolder;

// Several chunks: the first progress report comes before the last chunk is read.
void write_source(const fs::path& path) {
  GgufMetadata metadata;
  metadata.set("general.architecture", GgufValue::of_string("llama"));
  GgufWriter writer(path, std::move(metadata));
  const int64_t dims[] = {1024, 1024};
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(
        writer.add_tensor(tensor_name(TensorRole::attn_q, i), format_of(FormatId::F32), dims).ok());
  }
  ASSERT_TRUE(writer.begin().ok());
  const std::vector<float> values(1024 * 1024, 0.5f);
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(writer.write(i, 0, std::as_bytes(std::span(values))).ok());
  }
  ASSERT_TRUE(writer.finish().ok());
}

TEST(SourceChanges, AFileThatIsCutWhileItIsQuantized) {
  install_mapping_guard();
  for (const char* to : {"Q8_0", "F32"}) {  // encoded, copied
    const ScratchFolder folder;
    const fs::path source = folder / "in.gguf", output = folder / "out.gguf";
    write_source(source);
    ThreadPool pool(2);
    const auto progress = [&](uint64_t, uint64_t) { fs::resize_file(source, 4096); };
    const auto report = quantize_file(source, output, {.to = to}, pool, progress, nullptr);
    ASSERT_FALSE(report.ok()) << to;
    EXPECT_EQ(report.error().kind, ErrorKind::kInvalid);
    EXPECT_PRED_FORMAT2(::testing::IsSubstring, "in.gguf", report.error().message);
    EXPECT_PRED_FORMAT2(::testing::IsSubstring, "changed while it was read",
                        report.error().message);
    EXPECT_FALSE(fs::exists(output));
    EXPECT_FALSE(fs::exists(output.string() + ".nibble-tmp"));
  }
}

}  // namespace
}  // namespace nibble
