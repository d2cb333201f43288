// From a prompt to text: the loop over session, sampler and stream decoder.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "engine/sampler.h"

namespace nibble {

struct GenerateOptions {
  int64_t max_tokens = -1;  // -1: until the model ends or the context is full
};

enum class StopReason { kEnd, kLength, kContextFull, kInterrupted };

struct GenerateStats {
  int64_t prompt_tokens = 0;    // in the prompt
  int64_t computed_tokens = 0;  // of these, not reused
  int64_t generated_tokens = 0;
  double prompt_ms = 0;
  double generate_ms = 0;
  StopReason reason = StopReason::kEnd;
};

// Continues `timeline` (the prompt; generated tokens are appended, the one that ended it included).
// Complete characters go to `on_text` as they come. *cancel ends it with what there is.
Result<GenerateStats> generate(const Engine& engine, Session& session,
                               std::vector<int32_t>& timeline, Sampler& sampler,
                               const GenerateOptions& options,
                               const std::function<void(std::string_view)>& on_text,
                               const std::atomic<bool>* cancel = nullptr);

}  // namespace nibble
