#include "engine/generate.h"

#include <chrono>

namespace nibble {
namespace {
double ms_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}
}  // namespace

Result<GenerateStats> generate(const Engine& engine, Session& session,
                               std::vector<int32_t>& timeline, Sampler& sampler,
                               const GenerateOptions& options,
                               const std::function<void(std::string_view)>& on_text,
                               const std::atomic<bool>* cancel) {
  GenerateStats stats;
  stats.prompt_tokens = static_cast<int64_t>(timeline.size());
  for (const int32_t token : timeline) sampler.accept(token);
  const auto start = std::chrono::steady_clock::now();
  StreamDecoder decoder(engine.tokenizer());
  const auto finish = [&](StopReason reason) {
    if (const std::string rest = decoder.flush(); !rest.empty()) on_text(rest);
    stats.generate_ms = ms_since(start) - stats.prompt_ms;
    stats.reason = reason;
    return stats;
  };
  for (;;) {
    const Status status = session.sync(timeline, cancel);
    if (stats.generated_tokens == 0) {
      stats.prompt_ms = ms_since(start);
      stats.computed_tokens = session.n_computed();
    }
    if (!status.ok()) {
      if (status.error().kind == ErrorKind::kInterrupted) return finish(StopReason::kInterrupted);
      return status.error();
    }
    if (options.max_tokens >= 0 && stats.generated_tokens >= options.max_tokens) {
      return finish(StopReason::kLength);
    }
    const int32_t token = sampler.sample(session.logits());
    sampler.accept(token);
    timeline.push_back(token);
    ++stats.generated_tokens;
    if (engine.tokenizer().is_end(token)) return finish(StopReason::kEnd);
    if (const std::string text = decoder.push(token); !text.empty()) on_text(text);
    if (static_cast<int64_t>(timeline.size()) >= session.n_ctx())
      return finish(StopReason::kContextFull);
    if (options.max_tokens >= 0 && stats.generated_tokens >= options.max_tokens) {
      return finish(StopReason::kLength);
    }
  }
}

}  // namespace nibble
