#include "ops/attention.h"

#include <algorithm>
#include <cstring>

namespace nibble {
namespace {

constexpr int64_t kRunQueries = 128;  // of one task, in whole tokens

// With so many tasks per thread the threads end together anyway.
constexpr int64_t kTasksPerThread = 8;

int64_t group_of(const Attention::Shape& shape) { return shape.n_heads / shape.n_kv_heads; }

int64_t max_queries(const Attention::Shape& shape) {
  return Attention::run_tokens(shape) * group_of(shape);
}

int64_t scratch_floats(const Attention::Shape& shape) {
  const int64_t n = max_queries(shape);
  const int64_t floats = n * shape.head_dim + 2 * attention_state_floats(n, shape.head_dim) +
                         attention_scratch_floats(shape.head_dim) + 2 * n;
  return (floats + 15) / 16 * 16;
}

// Queries whose states run_by_segments() keeps, one per segment and one over all: at one token
// enough for 64 segments per thread.
int64_t kept_queries(const Attention::Shape& shape, int n_threads) {
  return 64 * n_threads * group_of(shape);
}
// The maxima and sums of a state are rounded up to 8 queries, which may be 8 times their number.
int64_t states_floats(const Attention::Shape& shape, int n_threads) {
  return kept_queries(shape, n_threads) * attention_state_floats(1, shape.head_dim);
}

}  // namespace

struct Attention::Task {
  const AttentionRun* run;
  int64_t kv_head, n_queries, first_segment, end_segment;
};

struct Attention::Scratch {
  float *queries, *state, *segment_state, *kernel;
  int32_t *visible, *first_visible;
};

int64_t Attention::run_tokens(const Shape& shape) {
  return std::max<int64_t>(1, kRunQueries / group_of(shape));
}

Result<Attention> Attention::create(const KernelTable& kernels, ThreadPool& pool,
                                    const Shape& shape) {
  Attention attention;
  attention.kernels_ = &kernels;
  attention.pool_ = &pool;
  attention.shape_ = shape;
  const auto bytes = [&](int64_t floats) { return static_cast<size_t>(floats) * sizeof(float); };
  ASSIGN_OR_RETURN(attention.scratch_,
                   Buffer::allocate(bytes(scratch_floats(shape) * pool.n_threads())));
  ASSIGN_OR_RETURN(attention.states_,
                   Buffer::allocate(bytes(states_floats(shape, pool.n_threads()))));
  attention.left_ = std::make_unique<std::atomic<int32_t>[]>(
      static_cast<size_t>(kTasksPerThread * pool.n_threads()));
  return attention;
}

int64_t Attention::buffer_bytes(const Shape& shape, int n_threads) {
  return 4 * (n_threads * scratch_floats(shape) + states_floats(shape, n_threads));
}

Attention::Scratch Attention::scratch_of(int thread) {
  const int64_t n = max_queries(shape_), state = attention_state_floats(n, shape_.head_dim);
  Scratch s;
  s.queries = scratch_.as<float>() + thread * scratch_floats(shape_);
  s.kernel = s.queries + n * shape_.head_dim;
  s.state = s.kernel + attention_scratch_floats(shape_.head_dim);
  s.segment_state = s.state + state;
  s.visible = reinterpret_cast<int32_t*>(s.segment_state + state);
  s.first_visible = s.visible + n;
  return s;
}

Attention::Task Attention::task_of(const AttentionCall& call, int64_t index) const {
  Task task;
  // Later runs of a prompt see more positions: dealing them first keeps the threads level.
  const auto back = static_cast<size_t>(index / shape_.n_kv_heads);
  task.run = &call.runs[call.runs.size() - 1 - back];
  task.kv_head = index % shape_.n_kv_heads;
  task.n_queries = task.run->n_tokens * group_of(shape_);
  const int64_t n_positions =
      call.n_positions > 0 ? call.n_positions : task.run->first_position + task.run->n_tokens;
  // Segments that the first token's window does not reach are out of sight for all.
  const int64_t sees_from =
      call.window > 0 ? std::max<int64_t>(0, task.run->first_position + 1 - call.window) : 0;
  task.first_segment = sees_from / kSegmentPositions;
  task.end_segment = (n_positions + kSegmentPositions - 1) / kSegmentPositions;
  return task;
}

AttentionArgs Attention::begin(const AttentionCall& call, const Task& task,
                               const Scratch& scratch) const {
  const int64_t head_dim = shape_.head_dim, group = group_of(shape_);
  const int64_t row = shape_.n_heads * head_dim;
  const float* q = call.q + task.run->first_row * row + task.kv_head * group * head_dim;
  AttentionArgs args;
  args.queries = q;
  args.query_stride = head_dim;
  if (task.run->n_tokens > 1) {  // of one token they lie side by side already
    for (int64_t t = 0; t < task.run->n_tokens; ++t) {
      std::memcpy(scratch.queries + t * group * head_dim, q + t * row,
                  static_cast<size_t>(group * head_dim) * sizeof(float));
    }
    args.queries = scratch.queries;
  }
  args.n_queries = task.n_queries;
  args.n_visible = scratch.visible;
  args.first_visible = scratch.first_visible;
  args.head_dim = head_dim;
  args.key_type = call.segments->key_type;
  args.value_type = call.segments->value_type;
  args.scale = call.scale;
  args.softcap = call.softcap;
  args.scratch = scratch.kernel;
  return args;
}

// The state of one segment alone, to args.state.
void Attention::attend_segment(const AttentionCall& call, const Task& task, int64_t segment,
                               AttentionArgs& args, const Scratch& scratch) const {
  const int64_t begin = segment * kSegmentPositions, group = group_of(shape_);
  const auto clamp = [](int64_t n) {
    return static_cast<int32_t>(std::clamp<int64_t>(n, 0, kSegmentPositions));
  };
  for (int64_t t = 0; t < task.run->n_tokens; ++t) {
    const int64_t behind = task.run->first_position + t + 1 - begin;
    std::fill_n(scratch.visible + t * group, group,
                clamp(call.n_positions > 0 ? call.n_positions - begin : behind));
    std::fill_n(scratch.first_visible + t * group, group,
                clamp(call.window > 0 ? behind - call.window : 0));
  }
  const KvSegment place = call.segments->at(task.run->sequence, segment, task.kv_head);
  args.keys = place.keys;
  args.values = place.values;
  kernels_->attention_segment(args);
}

void Attention::finish(const AttentionCall& call, const Task& task, const float* state) const {
  const int64_t group = group_of(shape_);
  for (int64_t i = 0; i < task.n_queries; ++i) {
    const int64_t row = task.run->first_row + i / group, head = task.kv_head * group + i % group;
    kernels_->attention_finish(state, task.n_queries, i, shape_.head_dim,
                               call.out + (row * shape_.n_heads + head) * shape_.head_dim);
  }
}

void Attention::run(const AttentionCall& call) {
  const int64_t n_tasks = static_cast<int64_t>(call.runs.size()) * shape_.n_kv_heads;
  const int n_threads = pool_->n_threads();
  const bool level = n_threads == 1 || n_tasks >= kTasksPerThread * n_threads;
  if (level || !run_by_segments(call, n_tasks)) run_whole(call, n_tasks);
}

void Attention::run_whole(const AttentionCall& call, int64_t n_tasks) {
  pool_->parallel_for(n_tasks, 1, [&](int64_t index, int64_t, int thread) {
    const Task task = task_of(call, index);
    const Scratch scratch = scratch_of(thread);
    AttentionArgs args = begin(call, task, scratch);
    args.state = scratch.segment_state;
    kernels_->attention_clear(scratch.state, task.n_queries, shape_.head_dim);
    for (int64_t s = task.first_segment; s < task.end_segment; ++s) {
      attend_segment(call, task, s, args, scratch);
      kernels_->attention_merge(scratch.state, scratch.segment_state, task.n_queries,
                                shape_.head_dim);
    }
    finish(call, task, scratch.state);
  });
}

// In waves of as many segments as there is memory for their states. Whoever finishes the last
// segment of a task in a wave merges them all, in ascending order as always. False, and nothing
// done, when that would be too little work to deal.
bool Attention::run_by_segments(const AttentionCall& call, int64_t n_tasks) {
  const int64_t head_dim = shape_.head_dim;
  int64_t begin_all = INT64_MAX, end_all = 0, n_queries = 0;
  for (int64_t i = 0; i < n_tasks; i += shape_.n_kv_heads) {
    const Task task = task_of(call, i);
    begin_all = std::min(begin_all, task.first_segment);
    end_all = std::max(end_all, task.end_segment);
    n_queries = std::max(n_queries, task.n_queries);
  }
  const int64_t slot = attention_state_floats(n_queries, head_dim);  // of one task and segment
  const int64_t n_slots = states_floats(shape_, pool_->n_threads()) / slot;
  const int64_t wave = std::min(n_slots / n_tasks - 1, end_all - begin_all);
  if (wave <= 1 || wave * n_tasks < 2 * pool_->n_threads()) return false;

  float* states = states_.as<float>();           // [n_tasks] over all segments
  float* of_segments = states + n_tasks * slot;  // [wave, n_tasks]
  for (int64_t begin_wave = begin_all; begin_wave < end_all; begin_wave += wave) {
    const int64_t end_wave = std::min(begin_wave + wave, end_all);
    const auto merge = [&](const Task& task, int64_t index) {
      float* state = states + index * slot;
      if (begin_wave == begin_all) kernels_->attention_clear(state, task.n_queries, head_dim);
      const int64_t end = std::min(end_wave, task.end_segment);
      for (int64_t s = std::max(begin_wave, task.first_segment); s < end; ++s) {
        const float* part = of_segments + ((s - begin_wave) * n_tasks + index) * slot;
        kernels_->attention_merge(state, part, task.n_queries, head_dim);
      }
      if (end_wave == end_all) finish(call, task, state);
    };
    for (int64_t i = 0; i < n_tasks; ++i)
      left_[static_cast<size_t>(i)].store(static_cast<int32_t>(end_wave - begin_wave),
                                          std::memory_order_relaxed);
    pool_->parallel_for(
        (end_wave - begin_wave) * n_tasks, 1, [&](int64_t item, int64_t, int thread) {
          const int64_t index = item % n_tasks, segment = begin_wave + item / n_tasks;
          const Task task = task_of(call, index);
          if (segment >= task.first_segment && segment < task.end_segment) {
            const Scratch scratch = scratch_of(thread);
            AttentionArgs args = begin(call, task, scratch);
            args.state = of_segments + item * slot;
            attend_segment(call, task, segment, args, scratch);
          }
          if (left_[static_cast<size_t>(index)].fetch_sub(1, std::memory_order_acq_rel) == 1)
            merge(task, index);
        });
  }
  return true;
}

}  // namespace nibble
