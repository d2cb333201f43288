#include "model/kv_cache.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace nibble {
namespace {
int64_t blocks_for(int64_t n_positions) {
  return (n_positions + KvCache::kBlockPositions - 1) / KvCache::kBlockPositions;
}

Result<KvType> kv_type(const char* what, FormatId type, const ModelConfig& config) {
  switch (type) {
    case FormatId::F32:
      return KvType::kFloat32;
    case FormatId::F16:
      return KvType::kFloat16;
    case FormatId::Q8_0:
      if (config.head_dim % 32 == 0) return KvType::kCodes8;
      return make_error(
          ErrorKind::kFailure,
          "[kv cache] {} cannot be Q8_0 in heads of {} dimensions: it has a scale per "
          "32; choose F32 or F16",
          what, config.head_dim);
    default:
      return make_error(ErrorKind::kFailure, "[kv cache] {} cannot be {}; choose F32, F16 or Q8_0",
                        what, format_of(type).name);
  }
}

}  // namespace

int64_t KvCache::size_bytes(const ModelConfig& config, const Options& options,
                            int64_t n_positions) {
  const int64_t per_block = kBlockPositions * config.kv_dim();
  const size_t bytes = format_of(options.key_type).size_bytes(per_block) +
                       format_of(options.value_type).size_bytes(per_block);
  return blocks_for(n_positions) * config.n_layers * static_cast<int64_t>(bytes);
}

Result<KvCache> KvCache::create(const ModelConfig& config, const Options& options) {
  KvCache cache;
  cache.n_ctx_ = options.n_ctx;
  cache.n_layers_ = config.n_layers;
  cache.n_kv_heads_ = config.n_kv_heads;
  cache.head_dim_ = config.head_dim;
  const int64_t blocks_per_sequence = blocks_for(options.n_ctx);
  // One spare block per sequence: a shared last block is copied before it is written.
  const int64_t n_blocks = (blocks_per_sequence + 1) * options.n_sequences;
  const auto make_side = [&](const char* what, FormatId type, Side& side) -> Status {
    ASSIGN_OR_RETURN(side.type, kv_type(what, type, config));
    side.head_bytes = kv_segment_bytes(side.type, config.head_dim);
    side.block_bytes = side.head_bytes * config.n_layers * config.n_kv_heads;
    ASSIGN_OR_RETURN(side.data, Buffer::allocate(static_cast<size_t>(side.block_bytes * n_blocks)));
    return {};
  };
  RETURN_IF_ERROR(make_side("keys", options.key_type, cache.keys_));
  RETURN_IF_ERROR(make_side("values", options.value_type, cache.values_));
  cache.sequences_.resize(static_cast<size_t>(options.n_sequences));
  for (Sequence& sequence : cache.sequences_)
    sequence.blocks.reserve(static_cast<size_t>(blocks_per_sequence));
  cache.owners_.assign(static_cast<size_t>(n_blocks), 0);
  for (int64_t b = n_blocks; b-- > 0;) cache.free_blocks_.push_back(static_cast<int32_t>(b));
  return cache;
}

int32_t KvCache::take_block() {
  if (free_blocks_.empty()) return -1;
  const int32_t block = free_blocks_.back();
  free_blocks_.pop_back();
  owners_[static_cast<size_t>(block)] = 1;
  return block;
}

void KvCache::release(int32_t block) {
  if (--owners_[static_cast<size_t>(block)] == 0) free_blocks_.push_back(block);
}

bool KvCache::make_private(Sequence& sequence, size_t index) {
  int32_t& block = sequence.blocks[index];
  if (owners_[static_cast<size_t>(block)] == 1) return true;
  const int32_t copy = take_block();
  if (copy < 0) return false;
  for (Side* side : {&keys_, &values_}) {
    std::memcpy(side->data.data() + copy * side->block_bytes,
                side->data.data() + block * side->block_bytes,
                static_cast<size_t>(side->block_bytes));
  }
  release(block);
  block = copy;
  return true;
}

bool KvCache::reserve(int32_t id, int64_t n_positions) {
  Sequence& sequence = sequences_[static_cast<size_t>(id)];
  if (n_positions > n_ctx_) return false;
  if (n_positions <= sequence.n_positions) return true;
  if (sequence.n_positions % kBlockPositions != 0 &&
      !make_private(sequence, sequence.blocks.size() - 1)) {
    return false;
  }
  while (static_cast<int64_t>(sequence.blocks.size()) < blocks_for(n_positions)) {
    const int32_t block = take_block();
    if (block < 0) return false;
    sequence.blocks.push_back(block);
  }
  sequence.n_positions = n_positions;
  return true;
}

void KvCache::truncate(int32_t id, int64_t n_positions) {
  Sequence& sequence = sequences_[static_cast<size_t>(id)];
  if (n_positions >= sequence.n_positions) return;
  while (static_cast<int64_t>(sequence.blocks.size()) > blocks_for(n_positions)) {
    release(sequence.blocks.back());
    sequence.blocks.pop_back();
  }
  sequence.n_positions = n_positions;
}

bool KvCache::share(int32_t from, int32_t to, int64_t n_positions) {
  const Sequence& source = sequences_[static_cast<size_t>(from)];
  if (from == to || n_positions > source.n_positions) return false;
  truncate(to, 0);
  Sequence& target = sequences_[static_cast<size_t>(to)];
  for (int64_t b = 0; b < blocks_for(n_positions); ++b) {
    const int32_t block = source.blocks[static_cast<size_t>(b)];
    ++owners_[static_cast<size_t>(block)];
    target.blocks.push_back(block);
  }
  target.n_positions = n_positions;
  return true;
}

void KvCache::store(const KernelTable& kernels, int64_t layer, int32_t id, int64_t position,
                    const float* key, const float* value) {
  const Sequence& sequence = sequences_[static_cast<size_t>(id)];
  DCHECK(position < sequence.n_positions);
  const int32_t block = sequence.blocks[static_cast<size_t>(position / kBlockPositions)];
  const int64_t row = position % kBlockPositions;
  for (int64_t head = 0; head < n_kv_heads_; ++head) {
    kernels.store_key(keys_.type, key + head * head_dim_, head_dim_, row,
                      keys_.data.data() + head_offset(keys_, layer, block, head));
    kernels.store_value(values_.type, value + head * head_dim_, head_dim_, row,
                        values_.data.data() + head_offset(values_, layer, block, head));
  }
}

KvCache::Layer::Layer(const KvCache& cache, int64_t layer) : cache_(cache), layer_(layer) {
  key_type = cache.keys_.type;
  value_type = cache.values_.type;
}

KvSegment KvCache::Layer::at(int32_t id, int64_t segment, int64_t kv_head) const {
  const Sequence& sequence = cache_.sequences_[static_cast<size_t>(id)];
  const int32_t block = sequence.blocks[static_cast<size_t>(segment)];
  const Side &keys = cache_.keys_, &values = cache_.values_;
  return {keys.data.data() + cache_.head_offset(keys, layer_, block, kv_head),
          values.data.data() + cache_.head_offset(values, layer_, block, kv_head)};
}

}  // namespace nibble
