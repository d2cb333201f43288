// Keys and values of past positions, paged: blocks of 128 positions that sequences own through
// tables and may share. Memory is reserved at construction and touched as positions come.
#pragma once

#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "formats/format.h"
#include "kernels/kernels.h"
#include "model/config.h"
#include "ops/attention.h"

namespace nibble {

class KvCache {
 public:
  static constexpr int64_t kBlockPositions = kSegmentPositions;

  struct Options {
    int64_t n_ctx = 0;                    // positions per sequence
    int64_t n_sequences = 1;              // each may be full at the same time
    FormatId key_type = FormatId::F16;    // F32, F16 or Q8_0
    FormatId value_type = FormatId::F16;  // F32, F16 or Q8_0
  };
  // kFailure: a type that keys and values cannot have, in general or in heads of this size.
  static Result<KvCache> create(const ModelConfig& config, const Options& options);
  // Bytes that `n_positions` of one sequence occupy (whole blocks).
  static int64_t size_bytes(const ModelConfig& config, const Options& options, int64_t n_positions);

  int64_t n_ctx() const { return n_ctx_; }

  // Makes positions [0, n) of the sequence writable; a block shared with another is copied first.
  // False when n > n_ctx or no block is free. Allocates no memory.
  bool reserve(int32_t sequence, int64_t n_positions);
  // Forgets positions >= n.
  void truncate(int32_t sequence, int64_t n_positions);
  // Lets `to` start with the first n positions of `from` (to is emptied first). False as in
  // reserve().
  bool share(int32_t from, int32_t to, int64_t n_positions);
  int64_t n_reserved(int32_t sequence) const {
    return sequences_[static_cast<size_t>(sequence)].n_positions;
  }

  // Stores [n_kv_heads, head_dim] floats at a reserved position.
  void store(const KernelTable& kernels, int64_t layer, int32_t sequence, int64_t position,
             const float* key, const float* value);

  // What attention reads in one layer. The cache must stay where it is meanwhile.
  class Layer final : public KvSegments {
   public:
    KvSegment at(int32_t sequence, int64_t segment, int64_t kv_head) const override;

   private:
    friend class KvCache;
    Layer(const KvCache& cache, int64_t layer);
    const KvCache& cache_;
    int64_t layer_;
  };
  Layer layer(int64_t index) const { return {*this, index}; }

 private:
  struct Sequence {
    std::vector<int32_t> blocks;  // capacity set at construction
    int64_t n_positions = 0;
  };
  struct Side {  // keys or values: [n_blocks, n_layers, n_kv_heads] segments (kernels.h)
    KvType type = KvType::kFloat16;
    Buffer data;
    int64_t head_bytes = 0, block_bytes = 0;
  };

  int32_t take_block();
  void release(int32_t block);
  bool make_private(Sequence& sequence, size_t index);
  int64_t head_offset(const Side& side, int64_t layer, int32_t block, int64_t head) const {
    return block * side.block_bytes + (layer * n_kv_heads_ + head) * side.head_bytes;
  }

  int64_t n_ctx_ = 0, n_layers_ = 0, n_kv_heads_ = 0, head_dim_ = 0;
  Side keys_, values_;
  std::vector<Sequence> sequences_;
  std::vector<int32_t> free_blocks_;  // a stack
  std::vector<int32_t> owners_;       // per block
};

}  // namespace nibble
