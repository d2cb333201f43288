// kLanes consecutive blocks of 32 weights, normalised, weighted and transposed: what the encoders
// of the 32-wide formats search in.

constexpr int kGroupLen = 32;

struct BlockGroup {
  const float* rows;  // the blocks as they came; zeros follow where there are fewer
  F x[kGroupLen];     // normalised values
  F w[kGroupLen];     // search weights; not set where all of them are 1
  F up, down;         // original -> normalised, and back
  int n_blocks;       // 1..kLanes

  // The scale (or minimum) v as stored: f16 bits, and what they decode to, normalised like x.
  Half store(F v) const {
    const Half h = to_half(v * down);
    return {h.bits, h.value * up};
  }
  // As store(), but the smallest subnormal instead of zero where v is not zero.
  Half store_nonzero(F v) const {
    const Half h = to_half_nonzero(v * down);
    return {h.bits, h.value * up};
  }
  // As store(), one f16 step towards minus infinity; -65504 stays.
  Half store_below(F v) const {
    const I bits = to_half(v * down).bits;
    const I magnitude = bits & 0x7fff;
    const I negative = (bits & 0x8000) != 0;
    I below = select(negative, magnitude + 1, magnitude - 1);
    below = select((magnitude == 0x7bff) & negative, magnitude, below);
    below = select(magnitude == 0, splat_int(1), below) |
            select(negative | (magnitude == 0), splat_int(0x8000), I{});
    return {below, half_value(below) * up};
  }

 private:
  static F half_value(I bits) {
    const I magnitude = bits & 0x7fff;
    // Subnormals: the mantissa under the exponent of 0.5, minus 0.5.
    const F subnormal = float_of(magnitude | 0x3f000000) - 0.5f;
    const F normal = float_of((magnitude << 13) + 0x38000000);
    const F value = select(magnitude < 0x400, subnormal, normal);
    return float_of(bits_of(value) | ((bits & 0x8000) << 16));
  }
};

// What stands for mean(x^2) in the search weights of a 32-wide format.
enum class Mean { kRow, kBlock };

// Fills a group from n_blocks blocks; importance: of the same weights. row_mean: mean(x^2) of the
// row, used with Mean::kRow. kPlain: all weights are 1 and w is left unset.
template <bool kPlain>
void load_group(const float* x, const float* importance, int n_blocks, const WeightRule& rule,
                Mean mean, float row_mean, float* padded, BlockGroup& group) {
  constexpr int kTotal = kGroupLen * kLanes;
  group.n_blocks = n_blocks;
  group.rows = x;
  if (n_blocks < kLanes) {
    for (int j = 0; j < kTotal; ++j) padded[j] = j < n_blocks * kGroupLen ? x[j] : 0.0f;
    group.rows = padded;
  }
  transpose(group.rows, kGroupLen, group.x);
  const PowersOfTwo scale = normalisers(group.x, kGroupLen);
  group.up = scale.up;
  group.down = scale.down;
  for (int j = 0; j < kGroupLen; ++j) group.x[j] *= group.up;
  if constexpr (!kPlain) {
    float weights[kTotal];
    for (int b = 0; b < kLanes; ++b) {
      float values[kGroupLen];
      const float up = group.up[b];
      for (int j = 0; j < kGroupLen; ++j) values[j] = group.rows[b * kGroupLen + j] * up;
      float sigma2 = rule.factor * mean_square(values, kGroupLen);
      if (mean == Mean::kRow) {
        // A block far below its row: its weights all count the same; 1e30 keeps the square finite.
        const float normalised = rule.factor * row_mean * up * up;
        sigma2 = normalised < 1e30f ? normalised : 1e30f;
      }
      const float* h = importance && b < n_blocks ? importance + b * kGroupLen : nullptr;
      search_weights(values, h, kGroupLen, sigma2, rule.emphasis, weights + b * kGroupLen);
    }
    transpose(weights, kGroupLen, group.w);
  }
}

// Calls encode(group, block_index) for every kLanes blocks of a row of n weights.
template <bool kPlain, typename Encode>
void for_each_group(const float* x, const float* importance, int64_t n, const WeightRule& rule,
                    Mean mean, Encode&& encode) {
  const float row_mean = !kPlain && mean == Mean::kRow ? mean_square(x, n) : 0.0f;
  const int64_t n_blocks = n / kGroupLen;
  float padded[kGroupLen * kLanes];
  BlockGroup group;
  for (int64_t i = 0; i < n_blocks; i += kLanes) {
    const int64_t left = n_blocks - i;
    load_group<kPlain>(x + i * kGroupLen, importance ? importance + i * kGroupLen : nullptr,
                       static_cast<int>(left < kLanes ? left : kLanes), rule, mean, row_mean,
                       padded, group);
    encode(group, i);
  }
}

// Codes of one block in the order of its weights: nearest integers in [lo, hi] to
// (x * up - min) * scale. Written over plain floats; the operations are those of the lanes.
inline void code_block(const float* x, int n, float up, float min, float scale, float lo, float hi,
                       int8_t* q) {
  for (int j = 0; j < n; ++j) {
    float t = (x[j] * up - min) * scale;
    t = t < hi ? t : hi;
    t = t > lo ? t : lo;
    q[j] = static_cast<int8_t>(__builtin_bit_cast(int32_t, t + kRoundMagic) - 0x4b400000);
  }
}
