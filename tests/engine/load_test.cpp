// Block scales that are NaN: found while loading, or with mapped weights before the first step.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "engine/engine.h"
#include "tests/support/runnable_model.h"

namespace nibble {
namespace {

// The tensors of `name` get a scale that is a NaN in their last block.
std::filesystem::path write_damaged(const testing::ScratchFolder& folder, std::string_view name) {
  testing::TinyShape shape;
  shape.vocab_size = 400;
  shape.format = FormatId::Q8_0;
  testing::TinyModel model = testing::make_runnable_model(shape);
  for (testing::TinyTensor& tensor : model.tensors) {
    if (tensor.name != name) continue;
    const size_t at = tensor.bytes.size() - 34;  // a block: F16 scale, 32 codes
    tensor.bytes[at] = std::byte{0x00};
    tensor.bytes[at + 1] = std::byte{0x7e};
  }
  const auto path = folder / (std::string(name) + ".gguf");
  testing::write_model(model, path);
  return path;
}

Result<std::unique_ptr<Engine>> load(const std::filesystem::path& path, bool mapped) {
  EngineOptions options;
  options.n_threads = 2;
  options.n_ctx = 64;
  options.mapped_weights = mapped;
  return Engine::load(path, options);
}

constexpr const char* kNames[] = {"blk.1.ffn_down.weight", "token_embd.weight"};

TEST(Load, ScalesThatAreNaNAreAnErrorThatNamesTheTensor) {
  testing::ScratchFolder folder;
  for (const char* name : kNames) {
    const auto engine = load(write_damaged(folder, name), false);
    ASSERT_FALSE(engine.ok()) << name;
    EXPECT_EQ(engine.error().kind, ErrorKind::kInvalid);
    EXPECT_NE(engine.error().message.find(std::string(name) + " has 1 block scales"),
              std::string::npos)
        << engine.error().message;
  }
}

TEST(Load, WithMappedWeightsTheyAreFoundBeforeTheFirstStep) {
  testing::ScratchFolder folder;
  for (const char* name : kNames) {
    auto engine = load(write_damaged(folder, name), true);
    ASSERT_TRUE(engine.ok()) << engine.error().message;
    const auto session = (*engine)->new_session().take();
    for (int i = 0; i < 2; ++i) {  // the second time as well
      const Status status = session->sync(std::vector<int32_t>{1, 2, 3});
      ASSERT_FALSE(status.ok()) << name;
      EXPECT_EQ(status.error().kind, ErrorKind::kInvalid);
      EXPECT_NE(status.error().message.find(name), std::string::npos) << status.error().message;
    }
  }
  auto sound = load(write_damaged(folder, "none"), true);
  ASSERT_TRUE(sound.ok());
  EXPECT_TRUE((*sound)->new_session().take()->sync(std::vector<int32_t>{1, 2, 3}).ok());
}

// Float weights are not looked at while loading; what comes out of them is.
TEST(Load, WeightsThatAreNaNAreAnErrorOfTheStep) {
  testing::ScratchFolder folder;
  testing::TinyShape shape;
  shape.vocab_size = 400;
  shape.format = FormatId::F32;
  testing::TinyModel model = testing::make_runnable_model(shape);
  for (testing::TinyTensor& tensor : model.tensors) {
    if (tensor.name != "blk.1.ffn_down.weight") continue;
    constexpr std::byte kNaN[] = {std::byte{0}, std::byte{0}, std::byte{0xc0}, std::byte{0x7f}};
    std::copy(std::begin(kNaN), std::end(kNaN), tensor.bytes.end() - 4);
  }
  testing::write_model(model, folder / "m.gguf");
  for (const bool mapped : {false, true}) {
    auto engine = load(folder / "m.gguf", mapped);
    ASSERT_TRUE(engine.ok()) << engine.error().message;
    const Status status = (*engine)->new_session().take()->sync(std::vector<int32_t>{1, 2, 3});
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().kind, ErrorKind::kInvalid);
    EXPECT_NE(status.error().message.find("is no number"), std::string::npos);
  }
}

}  // namespace
}  // namespace nibble
