// Texts to vectors: the boundary between programs and models that embed, beside engine.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"

namespace nibble {

// How the states behind the tokens of a text become one vector.
enum class PoolBy { mean, cls, last };

struct EmbedderOptions {
  int64_t n_ctx = 0;              // longest text in tokens; 0: what the model was made for, at most
                                  // kDefaultContext
  int n_threads = 0;              // 0: the physical cores this process may use
  std::optional<PoolBy> pooling;  // none: as the model says; else the mean (encoders), the last
                                  // token (models that continue texts)
  bool normalize = true;          // vectors of length one
  ActivationMode activations = ActivationMode::kQuantized;
};

struct EmbedderInfo {
  std::string architecture;
  int64_t width = 0;  // numbers per vector
  int64_t n_ctx = 0;
  PoolBy pooling = PoolBy::mean;
};

class Embedder {
 public:
  // An encoder, or a model that continues texts (its states behind the final norm). Errors: as
  // Engine::load.
  static Result<std::unique_ptr<Embedder>> load(const std::filesystem::path& path,
                                                const EmbedderOptions& options);
  virtual ~Embedder() = default;

  virtual const EmbedderInfo& info() const = 0;
  virtual const Tokenizer& tokenizer() const = 0;
  // [info().width]. The tokens are taken as they are: 1 to n_ctx of them. kFailure otherwise; a
  // vector never depends on the texts before it.
  virtual Result<std::vector<float>> embed(std::span<const int32_t> tokens) = 0;
  // With the special tokens that the model puts around a text. cut: a text that is too long loses
  // its end (the last special token stays) instead of failing.
  Result<std::vector<float>> embed(std::string_view text, bool cut = false);
};

}  // namespace nibble
