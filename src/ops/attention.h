// Attention of the query heads that share one KV head, for neighbouring tokens of one sequence,
// over every segment of 128 positions that they see, in ascending order (kernels/attention-inl.h).
// Decoder and encoder differ only in where keys and values lie and in who sees what.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/kernels.h"

namespace nibble {

inline constexpr int64_t kRunTokens = 16;  // tokens attended together at most

struct AttentionTask {
  const float* q = nullptr;  // [n_tokens, n_heads, head_dim] of the first token and those behind it
  float* out = nullptr;      // the same shape
  int64_t n_tokens = 0;      // at most kRunTokens
  int64_t n_heads = 0, group = 0;  // group: query heads per KV head
  int64_t kv_head = 0, head_dim = 0;
  float scale = 1.0f, softcap = 0.0f;  // kernels.h
  int64_t first_position = 0;          // of the first token; the others follow
  int64_t n_positions = 0;             // 0: a token sees itself and what is before it; else so many
  int64_t window = 0;                  // of these only the last so many; 0: all
};

// What one thread needs for it, in floats, in this order.
struct AttentionScratch {
  int64_t queries, state, scores, keys, values, visible, first, total;
  AttentionScratch(int64_t head_dim, int64_t group) {
    const int64_t padded = kRunTokens * group + 3;
    queries = 0;
    state = queries + padded * head_dim;
    scores = state + padded * (head_dim + 2);
    keys = scores + padded * kSegmentPositions;
    values = keys + kSegmentPositions * head_dim;
    visible = values + kSegmentPositions * head_dim;
    first = visible + padded;
    total = (first + padded + 15) / 16 * 16;
  }
};

// load(segment, n, key_scratch, value_scratch, args) sets args.keys and args.values to the floats
// of one segment's first n positions, [128, head_dim]; the scratch has that size.
template <typename Load>
void attend(const KernelTable& kernels, const AttentionTask& task, float* scratch, Load&& load) {
  const int64_t head_dim = task.head_dim, group = task.group, n_queries = task.n_tokens * group;
  const AttentionScratch layout(head_dim, group);
  float* queries = scratch + layout.queries;  // [n_tokens, group, head_dim]
  float* state = scratch + layout.state;
  auto* visible = reinterpret_cast<int32_t*>(scratch + layout.visible);
  auto* first_visible = reinterpret_cast<int32_t*>(scratch + layout.first);
  const int64_t state_width = head_dim + 2;
  const auto place = [&](int64_t i) {  // of query i in q and out
    return ((i / group) * task.n_heads + task.kv_head * group + i % group) * head_dim;
  };
  for (int64_t i = 0; i < n_queries; ++i) {
    std::memcpy(queries + i * head_dim, task.q + place(i),
                static_cast<size_t>(head_dim) * sizeof(float));
    std::fill_n(state + i * state_width, state_width, 0.0f);
    state[i * state_width] = -3.0e38f;
  }
  AttentionArgs args;
  args.queries = queries;
  args.query_stride = head_dim;
  args.n_queries = n_queries;
  args.n_visible = visible;
  args.first_visible = first_visible;
  args.head_dim = head_dim;
  args.scale = task.scale;
  args.softcap = task.softcap;
  args.state = state;
  args.scores = scratch + layout.scores;
  const int64_t n_positions =
      task.n_positions > 0 ? task.n_positions : task.first_position + task.n_tokens;
  // Segments that the first token's window does not reach are out of sight for all.
  const int64_t sees_from =
      task.window > 0 ? std::max<int64_t>(0, task.first_position + 1 - task.window) : 0;
  const auto clamp = [](int64_t n) {
    return static_cast<int32_t>(std::clamp<int64_t>(n, 0, kSegmentPositions));
  };
  for (int64_t begin = sees_from / kSegmentPositions * kSegmentPositions; begin < n_positions;
       begin += kSegmentPositions) {
    for (int64_t i = 0; i < n_queries; ++i) {
      const int64_t behind = task.first_position + i / group + 1 - begin;
      visible[i] = clamp(task.n_positions > 0 ? task.n_positions - begin : behind);
      first_visible[i] = clamp(task.window > 0 ? behind - task.window : 0);
    }
    load(begin / kSegmentPositions, std::min(kSegmentPositions, n_positions - begin),
         scratch + layout.keys, scratch + layout.values, args);
    kernels.attention_segment(args);
  }
  for (int64_t i = 0; i < n_queries; ++i) {
    kernels.attention_finish(state + i * state_width, head_dim, task.out + place(i));
  }
}

}  // namespace nibble
