// nibble run: what its flags say, shared by its two ways of running.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/generate.h"
#include "engine/sampler.h"
#include "text/chat_template.h"

namespace nibble {

struct RunOptions {
  std::string model;
  std::optional<std::string> prompt;
  std::optional<std::string> file;  // instead of prompt: where it is
  std::string system;
  std::string key_type = "f16", value_type = "f16";
  bool raw = false, special = false, float_activations = false;
  int64_t seed = -1;  // -1: chosen at random
  EngineOptions engine;
  SamplerOptions sampler;
  GenerateOptions generate;
};

// The conversation: on a terminal with line editing, else each line of standard input is a message.
Status run_chat(const RunOptions& options, const Engine& engine, const ChatTemplate& chat_template,
                Session& session, Sampler& sampler);

// "prompt: 6 tokens (5 computed), 123.4 tokens/s" and so on, one fact group per line, a newline at
// the end of each.
std::string format_statistics(const GenerateStats& stats, double load_ms, int64_t peak_bytes,
                              uint64_t seed);

}  // namespace nibble
