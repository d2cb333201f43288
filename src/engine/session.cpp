// Sessions: from the texts that callers state to the steps of the decoder.
#include <algorithm>
#include <cstring>

#include "base/finite.h"
#include "engine/engine_impl.h"

namespace nibble {

SessionImpl::SessionImpl(EngineImpl& engine, int32_t sequence)
    : engine_(engine), sequence_(sequence) {
  tokens_.reserve(static_cast<size_t>(engine.info_.n_ctx));
  auto logits = Buffer::allocate(static_cast<size_t>(engine.info_.vocab_size) * sizeof(float));
  CHECK(logits.ok());
  logits_ = logits.take();
}

SessionImpl::~SessionImpl() {
  engine_.cache_.truncate(sequence_, 0);
  engine_.free_sequences_.push_back(sequence_);
}

std::span<const float> SessionImpl::logits() const {
  return {logits_.as<float>(), static_cast<size_t>(engine_.info_.vocab_size)};
}

int64_t SessionImpl::n_ctx() const { return engine_.info_.n_ctx; }

Status SessionImpl::sync(std::span<const int32_t> prefix, const std::atomic<bool>* cancel) {
  const SyncRequest request = {this, prefix};
  return engine_.sync({&request, 1}, cancel);
}

void SessionImpl::keep_common(std::span<const int32_t> prefix) {
  const auto parted = std::mismatch(prefix.begin(), prefix.end(), tokens_.begin(), tokens_.end());
  const auto kept = std::min(static_cast<size_t>(parted.first - prefix.begin()), prefix.size() - 1);
  tokens_.resize(kept);
  engine_.cache_.truncate(sequence_, static_cast<int64_t>(kept));
  n_computed_ = 0;
}

Status EngineImpl::check_prefix(std::span<const int32_t> prefix) const {
  CHECK(!prefix.empty());
  if (static_cast<int64_t>(prefix.size()) > info_.n_ctx) {
    return make_error(ErrorKind::kFailure,
                      "[prompt] has {} tokens; the context holds {}; shorten the text or "
                      "raise the context (-c)",
                      prefix.size(), info_.n_ctx);
  }
  for (const int32_t token : prefix) {
    if (token < 0 || token >= info_.vocab_size) {
      return make_error(ErrorKind::kFailure, "[prompt] token {} is not in 0..{}", token,
                        info_.vocab_size - 1);
    }
  }
  return {};
}

Status EngineImpl::sync(std::span<const SyncRequest> requests, const std::atomic<bool>* cancel) {
  for (const SyncRequest& request : requests) RETURN_IF_ERROR(check_prefix(request.prefix));
  RETURN_IF_ERROR(model_->check_values(pool_));  // of weights left in the file, the first time
  for (const SyncRequest& request : requests) {
    static_cast<SessionImpl*>(request.session)->keep_common(request.prefix);
  }
  const auto incomplete = [](const SyncRequest& request) {
    return static_cast<SessionImpl*>(request.session)->tokens_.size() < request.prefix.size();
  };
  while (std::any_of(requests.begin(), requests.end(), incomplete)) {
    if (cancel != nullptr && cancel->load(std::memory_order_relaxed)) {
      return make_error(ErrorKind::kInterrupted, "[generation] interrupted");
    }
    RETURN_IF_ERROR(step(requests));
  }
  return {};
}

Status EngineImpl::step(std::span<const SyncRequest> requests) {
  batch_.clear();
  const auto room = [&] { return static_cast<size_t>(decoder_->max_batch()) - batch_.size(); };
  for (const SyncRequest& request : requests) {
    const auto& session = static_cast<const SessionImpl&>(*request.session);
    const size_t begin = session.tokens_.size();
    const size_t end = std::min(request.prefix.size(), begin + room());
    for (size_t i = begin; i < end; ++i) {
      batch_.push_back({request.prefix[i], static_cast<int32_t>(i), session.sequence_,
                        i + 1 == request.prefix.size()});
    }
    CHECK(cache_.reserve(session.sequence_, static_cast<int64_t>(end)));
  }
  decoder_->forward(batch_, cache_, step_logits_.as<float>());
  RETURN_IF_ERROR(model_->source().check_unchanged());

  const float* logits = step_logits_.as<float>();
  auto token = batch_.begin();
  for (const SyncRequest& request : requests) {
    auto& session = static_cast<SessionImpl&>(*request.session);
    for (; token != batch_.end() && token->sequence == session.sequence_; ++token) {
      session.tokens_.push_back(token->token);
      ++session.n_computed_;
      if (!token->want_logits) continue;
      if (!all_finite({logits, static_cast<size_t>(info_.vocab_size)})) {
        return make_error(ErrorKind::kInvalid,
                          "[{}] the model's answer is no number (NaN or infinity); its weights are "
                          "damaged or were made from a broken model",
                          model_->source().path().string());
      }
      std::memcpy(session.logits_.data(), logits, session.logits().size_bytes());
      logits += info_.vocab_size;
    }
  }
  return {};
}

}  // namespace nibble
