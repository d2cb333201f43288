// Attention over keys and values that lie in segments of 128 positions (kernels/kernels.h). Each
// KV head of a run of neighbouring tokens is a task: the query heads that share it read it once.
// When tasks are few, as in decode, their segments are dealt to the threads one by one. Decoder and
// encoder differ only in where keys and values lie and in who sees what.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "base/buffer.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace nibble {

// Neighbouring tokens of one sequence.
struct AttentionRun {
  int32_t first_row;  // of its first token in q and out
  int32_t n_tokens;   // at most Attention::run_tokens()
  int32_t first_position;
  int32_t sequence;
};

struct KvSegment {
  const std::byte* keys;
  const std::byte* values;
};

// Where keys and values of one layer lie.
class KvSegments {
 public:
  virtual KvSegment at(int32_t sequence, int64_t segment, int64_t kv_head) const = 0;
  KvType key_type = KvType::kFloat32, value_type = KvType::kFloat32;

 protected:
  ~KvSegments() = default;
};

struct AttentionCall {
  const float* q = nullptr;  // [n_rows, n_heads, head_dim]
  float* out = nullptr;      // the same shape
  std::span<const AttentionRun> runs;
  const KvSegments* segments = nullptr;
  float scale = 1.0f, softcap = 0.0f;  // kernels.h
  int64_t n_positions = 0;             // 0: a token sees itself and what is before it; else so many
  int64_t window = 0;                  // of these only the last so many; 0: all
};

class Attention {
 public:
  struct Shape {
    int64_t n_heads = 0, n_kv_heads = 0, head_dim = 0;
  };
  // The pool must outlive it. Allocates all that run() needs.
  static Result<Attention> create(const KernelTable& kernels, ThreadPool& pool, const Shape& shape);
  static int64_t buffer_bytes(const Shape& shape, int n_threads);

  // Tokens of a run at most: enough queries to share one read of a segment, few enough to stay in
  // the caches with it.
  int64_t run_tokens() const { return run_tokens(shape_); }
  static int64_t run_tokens(const Shape& shape);

  void run(const AttentionCall& call);

 private:
  struct Task;     // one KV head of one run
  struct Scratch;  // of one thread

  Task task_of(const AttentionCall& call, int64_t index) const;
  AttentionArgs begin(const AttentionCall& call, const Task& task, const Scratch& scratch) const;
  void attend_segment(const AttentionCall& call, const Task& task, int64_t segment,
                      AttentionArgs& args, const Scratch& scratch) const;
  void finish(const AttentionCall& call, const Task& task, const float* state) const;
  void run_whole(const AttentionCall& call, int64_t n_tasks);
  bool run_by_segments(const AttentionCall& call, int64_t n_tasks);
  Scratch scratch_of(int thread);

  const KernelTable* kernels_ = nullptr;
  ThreadPool* pool_ = nullptr;
  Shape shape_;
  Buffer scratch_, states_;
  std::unique_ptr<std::atomic<int32_t>[]> left_;  // per task: segments of the wave not yet done
};

}  // namespace nibble
