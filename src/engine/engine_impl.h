// Engine and its sessions behind engine.h.
#pragma once

#include <vector>

#include "base/buffer.h"
#include "engine/engine.h"
#include "model/decoder.h"

namespace nibble {

class EngineImpl;

class SessionImpl final : public Session {
 public:
  SessionImpl(EngineImpl& engine, int32_t sequence);
  ~SessionImpl() override;
  Status sync(std::span<const int32_t> prefix, const std::atomic<bool>* cancel) override;
  std::span<const float> logits() const override;
  int64_t n_computed() const override { return n_computed_; }
  int64_t n_ctx() const override;

 private:
  friend class EngineImpl;

  // Keeps what agrees with the prefix, at most all but its last token: the logits behind that are
  // wanted.
  void keep_common(std::span<const int32_t> prefix);

  EngineImpl& engine_;
  int32_t sequence_;
  int64_t n_computed_ = 0;
  std::vector<int32_t> tokens_;  // what the cache holds
  Buffer logits_;
};

class EngineImpl final : public Engine {
 public:
  explicit EngineImpl(int n_threads) : pool_(n_threads) {}

  Status open(const std::filesystem::path& path, const EngineOptions& options);
  const EngineInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return *tokenizer_; }
  Result<std::unique_ptr<Session>> new_session() override;
  Status sync(std::span<const SyncRequest> requests, const std::atomic<bool>* cancel) override;

 private:
  friend class SessionImpl;

  Status check_prefix(std::span<const int32_t> prefix) const;
  // Computes as many missing tokens of the requests as one step takes.
  Status step(std::span<const SyncRequest> requests);

  ThreadPool pool_;
  EngineInfo info_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Decoder> decoder_;
  KvCache cache_;
  std::vector<int32_t> free_sequences_;
  std::vector<BatchToken> batch_;  // the step at hand
  Buffer step_logits_;             // [n_sessions, vocab_size]
};

}  // namespace nibble
