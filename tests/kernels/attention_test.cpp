// Attention over segments against plain arithmetic in double, for every type of the cache and on
// every ISA; and that few queries and many give the same bits.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/half.h"
#include "base/random.h"
#include "kernels/kernels.h"

namespace nibble {
namespace {

std::vector<const KernelTable*> tables() {
  std::vector<const KernelTable*> result;
  for (const char* name : {"portable", "avx2", "avx512", "neon", "neon_i8mm"}) {
    if (const KernelTable* table = kernels::find(name)) result.push_back(table);
  }
  return result;
}

std::vector<float> normals(int64_t n, uint64_t seed) {
  Random random(seed);
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = static_cast<float>(random.normal());
  return x;
}

// What a number becomes in the cache: [head_dim] of one position.
void round_as_stored(KvType type, float* x, int64_t head_dim) {
  if (type == KvType::kFloat16) {
    for (int64_t d = 0; d < head_dim; ++d) x[d] = f16_to_f32(f32_to_f16(x[d]));
  } else if (type == KvType::kCodes8) {
    for (int64_t b = 0; b < head_dim; b += 32) {
      float largest = 0;
      for (int64_t d = b; d < b + 32; ++d) largest = std::max(largest, std::abs(x[d]));
      const float scale = f16_to_f32(f32_to_f16(largest / 127.0f));
      for (int64_t d = b; d < b + 32; ++d)
        x[d] = std::nearbyint(x[d] * (largest > 0 ? 127.0f / largest : 0.0f)) * scale;
    }
  }
}

constexpr int64_t kSegments = 3;

struct Rig {
  Rig(const KernelTable& kernel_table, KvType kv, int64_t dim, float softmax_scale, float softcap)
      : table(kernel_table),
        type(kv),
        head_dim(dim),
        scale(softmax_scale),
        cap(softcap),
        keys(normals(kSegments * kSegmentPositions * dim, 1)),
        values(normals(kSegments * kSegmentPositions * dim, 2)),
        stored_keys(static_cast<size_t>(kSegments * kv_segment_bytes(kv, dim))),
        stored_values(stored_keys.size()) {
    const int64_t bytes = kv_segment_bytes(type, head_dim);
    for (int64_t p = 0; p < kSegments * kSegmentPositions; ++p) {
      const int64_t segment = p / kSegmentPositions * bytes, row = p % kSegmentPositions;
      float *key = keys.data() + p * head_dim, *value = values.data() + p * head_dim;
      table.store_key(type, key, head_dim, row, stored_keys.data() + segment);
      table.store_value(type, value, head_dim, row, stored_values.data() + segment);
      round_as_stored(type, key, head_dim);
      round_as_stored(type, value, head_dim);
    }
  }

  // Query i sees [first[i], n[i]) of all positions. [n_queries, head_dim]
  std::vector<float> run(const float* queries, const std::vector<int64_t>& first,
                         const std::vector<int64_t>& n) const {
    const auto n_queries = static_cast<int64_t>(n.size());
    const auto state_floats = static_cast<size_t>(attention_state_floats(n_queries, head_dim));
    std::vector<float> state(state_floats), part(state_floats, NAN),
        scratch(static_cast<size_t>(attention_scratch_floats(head_dim)), NAN),
        out(static_cast<size_t>(n_queries * head_dim));
    table.attention_clear(state.data(), n_queries, head_dim);
    std::vector<int32_t> visible(n.size()), first_visible(n.size());
    AttentionArgs args;
    args.queries = queries;
    args.query_stride = head_dim;
    args.n_queries = n_queries;
    args.n_visible = visible.data();
    args.first_visible = first_visible.data();
    args.head_dim = head_dim;
    args.key_type = args.value_type = type;
    args.scale = scale;
    args.softcap = cap;
    args.state = part.data();
    args.scratch = scratch.data();
    for (int64_t s = 0; s < kSegments; ++s) {
      const auto inside = [&](int64_t position) {
        return static_cast<int32_t>(
            std::clamp<int64_t>(position - s * kSegmentPositions, 0, kSegmentPositions));
      };
      for (size_t i = 0; i < n.size(); ++i) {
        visible[i] = inside(n[i]);
        first_visible[i] = inside(first[i]);
      }
      args.keys = stored_keys.data() + s * kv_segment_bytes(type, head_dim);
      args.values = stored_values.data() + s * kv_segment_bytes(type, head_dim);
      table.attention_segment(args);
      table.attention_merge(state.data(), part.data(), n_queries, head_dim);
    }
    for (int64_t i = 0; i < n_queries; ++i)
      table.attention_finish(state.data(), n_queries, i, head_dim, out.data() + i * head_dim);
    return out;
  }

  std::vector<double> expected(const float* query, int64_t first, int64_t n) const {
    std::vector<double> result(static_cast<size_t>(head_dim));
    double total = 0;
    for (int64_t p = first; p < n; ++p) {
      double score = 0;
      for (int64_t d = 0; d < head_dim; ++d)
        score += static_cast<double>(query[d]) *
                 static_cast<double>(keys[static_cast<size_t>(p * head_dim + d)]);
      score *= static_cast<double>(scale);
      if (cap > 0) score = static_cast<double>(cap) * std::tanh(score / static_cast<double>(cap));
      const double weight = std::exp(score);
      total += weight;
      for (int64_t d = 0; d < head_dim; ++d) {
        result[static_cast<size_t>(d)] +=
            weight * static_cast<double>(values[static_cast<size_t>(p * head_dim + d)]);
      }
    }
    for (double& v : result) v /= total;
    return result;
  }

  const KernelTable& table;
  KvType type;
  int64_t head_dim;
  float scale, cap;
  std::vector<float> keys, values;  // as stored: [position, head_dim]
  std::vector<std::byte> stored_keys, stored_values;
};

struct Visible {
  std::vector<int64_t> first, n;
};

// Windows and ends inside segments, at their edges and across them.
Visible some_visible(int64_t n_queries) {
  const std::pair<int64_t, int64_t> kinds[] = {{0, 384}, {0, 13},    {5, 13},   {12, 13},
                                               {7, 128}, {64, 301},  {0, 256},  {130, 131},
                                               {0, 1},   {128, 384}, {200, 384}};
  Visible visible;
  for (int64_t i = 0; i < n_queries; ++i) {
    const auto& [first, n] = kinds[static_cast<size_t>(i) / 3 % std::size(kinds)];
    visible.first.push_back(first);
    visible.n.push_back(n);
  }
  return visible;
}

const KvType kTypes[] = {KvType::kFloat32, KvType::kFloat16, KvType::kCodes8};

TEST(Attention, EqualsPlainSoftmax) {
  for (const KernelTable* table : tables()) {
    for (const KvType type : kTypes) {
      for (const int64_t head_dim : {32, 64, 72, 96}) {
        if (type == KvType::kCodes8 && head_dim % 32 != 0) continue;
        for (const float cap : {0.0f, 2.0f}) {
          const Rig rig(*table, type, head_dim, 0.3f, cap);
          const int64_t n_queries = 37;
          const std::vector<float> queries = normals(n_queries * head_dim, 3);
          const Visible visible = some_visible(n_queries);
          const std::vector<float> out = rig.run(queries.data(), visible.first, visible.n);
          for (size_t i = 0; i < visible.n.size(); ++i) {
            const size_t at = i * static_cast<size_t>(head_dim);
            const std::vector<double> expected =
                rig.expected(queries.data() + at, visible.first[i], visible.n[i]);
            for (size_t d = 0; d < expected.size(); ++d) {
              ASSERT_NEAR(static_cast<double>(out[at + d]), expected[d], 3e-5)
                  << table->name << " type " << static_cast<int>(type) << " dim " << head_dim
                  << " cap " << cap << " query " << i;
            }
          }
        }
      }
    }
  }
}

// Every way of cutting the queries, from one by one to all at once.
TEST(Attention, FewQueriesAndManyGiveTheSameBits) {
  for (const KernelTable* table : tables()) {
    for (const KvType type : kTypes) {
      const int64_t head_dim = 64, n_queries = 66;
      const Rig rig(*table, type, head_dim, 0.2f, 0.0f);
      const std::vector<float> queries = normals(n_queries * head_dim, 4);
      const Visible visible = some_visible(n_queries);
      const std::vector<float> whole = rig.run(queries.data(), visible.first, visible.n);
      for (const int64_t step : {1, 2, 3, 4, 5, 8, 15, 16, 31, 65}) {
        for (int64_t i = 0; i < n_queries; i += step) {
          const int64_t end = std::min(i + step, n_queries);
          const std::vector<float> part =
              rig.run(queries.data() + i * head_dim,
                      {visible.first.begin() + i, visible.first.begin() + end},
                      {visible.n.begin() + i, visible.n.begin() + end});
          ASSERT_EQ(
              std::memcmp(part.data(), whole.data() + i * head_dim, part.size() * sizeof(float)), 0)
              << table->name << " type " << static_cast<int>(type) << ", " << step << " at a time";
        }
      }
    }
  }
}

// What stands behind the visible positions must not matter, not even when it is no number: cache
// pages are used again, and later tokens of the same batch may be broken.
TEST(Attention, HiddenPositionsTakeNoPart) {
  const int64_t head_dim = 64, n_queries = 20;
  const std::vector<float> queries = normals(n_queries * head_dim, 5);
  const std::vector<float> bad(static_cast<size_t>(head_dim), NAN);
  for (const KernelTable* table : tables()) {
    for (const KvType type : {KvType::kFloat32, KvType::kFloat16}) {
      Rig rig(*table, type, head_dim, 0.2f, 0.0f);
      const Visible visible = {std::vector<int64_t>(n_queries, 20),
                               std::vector<int64_t>(n_queries, 101)};
      const std::vector<float> before = rig.run(queries.data(), visible.first, visible.n);
      for (const int64_t position : {0, 19, 101, 103, 127}) {
        rig.table.store_key(type, bad.data(), head_dim, position, rig.stored_keys.data());
        rig.table.store_value(type, bad.data(), head_dim, position, rig.stored_values.data());
      }
      EXPECT_EQ(rig.run(queries.data(), visible.first, visible.n), before) << table->name;
    }
  }
}

}  // namespace
}  // namespace nibble
