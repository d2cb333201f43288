#include "model/kv_cache.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace nibble {
namespace {
int64_t blocks_for(int64_t n_positions) {
  return (n_positions + KvCache::kBlockPositions - 1) / KvCache::kBlockPositions;
}
}  // namespace

int64_t KvCache::size_bytes(const ModelConfig& config, const Options& options,
                            int64_t n_positions) {
  const auto per_value = static_cast<int64_t>(format_of(options.key_type).block_bytes +
                                              format_of(options.value_type).block_bytes);
  return blocks_for(n_positions) * kBlockPositions * config.n_layers * config.kv_dim() * per_value;
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
  const auto make_side = [&](FormatId type, Side& side) -> Status {
    CHECK(type == FormatId::F32 || type == FormatId::F16);
    side.format = &format_of(type);
    side.head_bytes =
        kBlockPositions * config.head_dim * static_cast<int64_t>(side.format->block_bytes);
    side.block_bytes = side.head_bytes * config.n_layers * config.n_kv_heads;
    ASSIGN_OR_RETURN(side.data, Buffer::allocate(static_cast<size_t>(side.block_bytes * n_blocks)));
    return {};
  };
  RETURN_IF_ERROR(make_side(options.key_type, cache.keys_));
  RETURN_IF_ERROR(make_side(options.value_type, cache.values_));
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

std::byte* KvCache::head_at(Side& side, int64_t layer, int32_t block, int64_t head) const {
  return side.data.data() + block * side.block_bytes +
         (layer * n_kv_heads_ + head) * side.head_bytes;
}

void KvCache::store_side(Side& side, const KernelTable& kernels, int64_t layer, int32_t block,
                         int64_t row, const float* x) const {
  for (int64_t head = 0; head < n_kv_heads_; ++head, x += head_dim_) {
    std::byte* place = head_at(side, layer, block, head) +
                       row * head_dim_ * static_cast<int64_t>(side.format->block_bytes);
    if (side.format->id == FormatId::F32) {
      std::memcpy(place, x, static_cast<size_t>(head_dim_) * sizeof(float));
    } else {
      kernels.to_f16(x, reinterpret_cast<uint16_t*>(place), head_dim_);
    }
  }
}

void KvCache::store(const KernelTable& kernels, int64_t layer, int32_t id, int64_t position,
                    const float* key, const float* value) {
  const Sequence& sequence = sequences_[static_cast<size_t>(id)];
  DCHECK(position < sequence.n_positions);
  const int32_t block = sequence.blocks[static_cast<size_t>(position / kBlockPositions)];
  store_side(keys_, kernels, layer, block, position % kBlockPositions, key);
  store_side(values_, kernels, layer, block, position % kBlockPositions, value);
}

const float* KvCache::load_side(const Side& side, const KernelTable& kernels, int64_t layer,
                                int32_t id, int64_t segment, int64_t head, int64_t n,
                                float* scratch) const {
  const int32_t block = sequences_[static_cast<size_t>(id)].blocks[static_cast<size_t>(segment)];
  const std::byte* data =
      side.data.data() + block * side.block_bytes + (layer * n_kv_heads_ + head) * side.head_bytes;
  if (side.format->id == FormatId::F32) return reinterpret_cast<const float*>(data);
  kernels.from_f16(reinterpret_cast<const uint16_t*>(data), scratch, n * head_dim_);
  return scratch;
}

const float* KvCache::keys(const KernelTable& kernels, int64_t layer, int32_t sequence,
                           int64_t segment, int64_t head, int64_t n, float* scratch) const {
  return load_side(keys_, kernels, layer, sequence, segment, head, n, scratch);
}

const float* KvCache::values(const KernelTable& kernels, int64_t layer, int32_t sequence,
                             int64_t segment, int64_t head, int64_t n, float* scratch) const {
  return load_side(values_, kernels, layer, sequence, segment, head, n, scratch);
}

}  // namespace nibble
