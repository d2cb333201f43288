// Sessions: what is reused gives the bits of what is computed, limits are errors with their
// numbers.
#include <gtest/gtest.h>

#include "engine/generate.h"
#include "tests/support/runnable_model.h"

namespace nibble {
namespace {

std::filesystem::path write_tiny(const testing::ScratchFolder& folder) {
  testing::TinyShape shape;
  shape.format = FormatId::F16;
  shape.vocab_size = 400;
  testing::TinyModel model = testing::make_runnable_model(shape);
  model.metadata.set("llama.context_length", GgufValue::of_uint32(256));
  const auto path = folder / "tiny.gguf";
  testing::write_model(model, path);
  return path;
}

std::unique_ptr<Engine> load(const std::filesystem::path& path, int64_t n_ctx = 0,
                             int64_t n_batch = 512, int64_t n_sessions = 1) {
  EngineOptions options;
  options.n_ctx = n_ctx;
  options.n_batch = n_batch;
  options.n_sessions = n_sessions;
  options.n_threads = 2;
  auto engine = Engine::load(path, options);
  EXPECT_TRUE(engine.ok()) << engine.error().message;
  return engine.take();
}

std::vector<int32_t> tokens(int n, int seed) {
  std::vector<int32_t> result;
  for (int i = 0; i < n; ++i) result.push_back((i * 13 + seed * 7 + i * i % 11) % 250);
  return result;
}

std::vector<float> logits_after(Session& session, std::span<const int32_t> prefix) {
  const Status status = session.sync(prefix);
  EXPECT_TRUE(status.ok()) << status.error().message;
  return {session.logits().begin(), session.logits().end()};
}

TEST(Session, ReusesTheCommonPrefixAndGivesTheBitsOfAFreshOne) {
  testing::ScratchFolder folder;
  const auto path = write_tiny(folder);
  const auto engine = load(path, 0, 64);
  auto session = engine->new_session().take();
  std::vector<int32_t> first = tokens(150, 1);
  logits_after(*session, first);
  EXPECT_EQ(session->n_computed(), 150);

  std::vector<int32_t> second(first.begin(), first.begin() + 100);
  for (const int32_t token : tokens(60, 2)) second.push_back(token);
  const auto reused = logits_after(*session, second);
  EXPECT_LE(session->n_computed(), 60);
  EXPECT_GT(session->n_computed(), 50);
  EXPECT_EQ(logits_after(*session, second), reused);
  EXPECT_EQ(session->n_computed(), 1);  // the same text again: only its last token

  session.reset();
  auto fresh = engine->new_session().take();
  EXPECT_EQ(logits_after(*fresh, second), reused);
  EXPECT_EQ(fresh->n_computed(), 160);
}

TEST(Session, LongerThanTheContextIsAnErrorWithBothNumbers) {
  testing::ScratchFolder folder;
  const auto engine = load(write_tiny(folder), 100);
  auto session = engine->new_session().take();
  const Status status = session->sync(tokens(101, 1));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kFailure);
  EXPECT_NE(status.error().message.find("101"), std::string::npos);
  EXPECT_NE(status.error().message.find("100"), std::string::npos);
  EXPECT_TRUE(session->sync(tokens(100, 1)).ok());
  const std::vector<int32_t> outside = {1, 400};
  EXPECT_FALSE(session->sync(outside).ok());
}

TEST(Session, CancelStopsBetweenStepsAndTheSessionGoesOn) {
  testing::ScratchFolder folder;
  const auto path = write_tiny(folder);
  const auto engine = load(path, 0, 16);
  auto session = engine->new_session().take();
  std::atomic<bool> cancel{true};
  const Status status = session->sync(tokens(50, 1), &cancel);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kInterrupted);
  const auto after = logits_after(*session, tokens(50, 1));
  session.reset();
  auto fresh = engine->new_session().take();
  EXPECT_EQ(logits_after(*fresh, tokens(50, 1)), after);
}

TEST(Engine, SessionsInCommonStepsHaveTheBitsOfEachAlone) {
  testing::ScratchFolder folder;
  const auto path = write_tiny(folder);
  const auto alone = load(path);
  const auto together = load(path, 0, 32, 3);  // steps shorter than a prompt
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<std::vector<int32_t>> texts = {tokens(70, 1), tokens(1, 2), tokens(33, 3)};
  for (size_t i = 0; i < texts.size(); ++i) sessions.push_back(together->new_session().take());
  auto one = alone->new_session().take();
  for (int round = 0; round < 3; ++round) {
    std::vector<SyncRequest> requests;
    for (size_t i = 0; i < texts.size(); ++i) requests.push_back({sessions[i].get(), texts[i]});
    const Status status = together->sync(requests);
    ASSERT_TRUE(status.ok()) << status.error().message;
    for (size_t i = 0; i < texts.size(); ++i) {
      const std::vector<float> expected = logits_after(*one, texts[i]);
      EXPECT_EQ(std::vector<float>(sessions[i]->logits().begin(), sessions[i]->logits().end()),
                expected)
          << i;
      EXPECT_EQ(sessions[i]->n_computed(), round == 0 ? static_cast<int64_t>(texts[i].size()) : 2);
      texts[i].push_back(static_cast<int32_t>(7 + i));
      texts[i].push_back(static_cast<int32_t>(40 + round));
    }
  }
}

TEST(Engine, ATextThatCannotBeTakenChangesNoSession) {
  testing::ScratchFolder folder;
  const auto engine = load(write_tiny(folder), 100, 64, 2);
  auto first = engine->new_session().take(), second = engine->new_session().take();
  const std::vector<int32_t> held = tokens(20, 1), longer = tokens(101, 2), other = tokens(5, 3);
  logits_after(*first, held);
  const SyncRequest requests[] = {{first.get(), other}, {second.get(), longer}};
  const Status status = engine->sync(requests);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kFailure);
  logits_after(*first, held);
  EXPECT_EQ(first->n_computed(), 1);
}

TEST(Engine, HandsOutAsManySessionsAsAsked) {
  testing::ScratchFolder folder;
  const auto engine = load(write_tiny(folder));
  auto one = engine->new_session();
  ASSERT_TRUE(one.ok());
  EXPECT_FALSE(engine->new_session().ok());
  one.take().reset();
  EXPECT_TRUE(engine->new_session().ok());
}

TEST(Engine, RefusesWhatDoesNotFitIntoMemory) {
  testing::ScratchFolder folder;
  EngineOptions options;
  options.n_ctx = int64_t{1} << 40;
  const auto engine = Engine::load(write_tiny(folder), options);
  ASSERT_FALSE(engine.ok());
  EXPECT_EQ(engine.error().kind, ErrorKind::kResource);
}

TEST(Generate, StopsAtTheLimitAndAtTheEndOfTheContext) {
  testing::ScratchFolder folder;
  const auto engine = load(write_tiny(folder), 40);
  auto session = engine->new_session().take();
  SamplerOptions greedy;
  greedy.temperature = 0;
  const auto run = [&](int64_t max_tokens) {
    std::vector<int32_t> timeline = tokens(20, 3);
    Sampler sampler(greedy, engine->info().vocab_size);
    std::string text;
    const auto stats = generate(*engine, *session, timeline, sampler, {max_tokens},
                                [&](std::string_view piece) { text += piece; });
    EXPECT_TRUE(stats.ok());
    EXPECT_EQ(static_cast<int64_t>(timeline.size()), 20 + stats->generated_tokens);
    return *stats;
  };
  EXPECT_EQ(run(0).generated_tokens, 0);
  const GenerateStats limited = run(5);
  if (limited.reason == StopReason::kLength) {
    EXPECT_EQ(limited.generated_tokens, 5);
  }
  const GenerateStats full = run(-1);
  if (full.reason == StopReason::kContextFull) {
    EXPECT_EQ(full.generated_tokens, 20);
  }
  EXPECT_NE(full.reason, StopReason::kLength);
}

TEST(MemoryNeeds, GrowWithTheContextAndEndAtTheModelsOwn) {
  testing::ScratchFolder folder;
  const auto needs = memory_needs(write_tiny(folder));
  ASSERT_EQ(needs.size(), 1u);  // 256 is below 2048 and 8192
  EXPECT_EQ(needs[0].n_ctx, 256);
  EXPECT_TRUE(memory_needs(folder / "missing.gguf").empty());
}

}  // namespace
}  // namespace nibble
