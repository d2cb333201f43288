// Prompts of more tokens than 31 or 32 bits count.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "engine/engine.h"
#include "tests/support/runnable_model.h"

namespace nibble {
namespace {

TEST(PromptLength, IsCountedBeyond32Bits) {
  testing::ScratchFolder folder;
  testing::TinyShape shape;
  shape.vocab_size = 400;
  testing::TinyModel model = testing::make_runnable_model(shape);
  model.metadata.set("llama.context_length", GgufValue::of_uint32(256));
  testing::write_model(model, folder / "tiny.gguf");
  EngineOptions options;
  options.n_threads = 1;
  auto engine = Engine::load(folder / "tiny.gguf", options);
  ASSERT_TRUE(engine.ok()) << engine.error().message;
  auto session = (*engine)->new_session();
  ASSERT_TRUE(session.ok());
  // Memory that is never touched, so never there: its length must be enough to refuse it.
  for (const size_t n : {size_t{1} << 31, (size_t{1} << 31) + 16, (size_t{1} << 32) + 16}) {
    void* pages = mmap(nullptr, n * sizeof(int32_t), PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) GTEST_SKIP() << "no address space of " << n << " tokens here";
    const Status status = (*session)->sync({static_cast<const int32_t*>(pages), n});
    munmap(pages, n * sizeof(int32_t));
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().kind, ErrorKind::kFailure);
    EXPECT_NE(status.error().message.find(std::to_string(n)), std::string::npos)
        << status.error().message;
  }
}

}  // namespace
}  // namespace nibble
