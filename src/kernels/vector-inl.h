// Element-wise kernels: norms, activations, conversions, quantization of activations.

// exp by 2^n * e^r, |r| <= ln2 / 2, a degree-6 polynomial (Cephes expf coefficients); relative
// error under 2e-7. Arguments are clamped to [-87.3, 88.3]: no zero, no infinity, no libm.
inline VecF32 exp_lanes(VecF32 x) {
  x = min(max(x, f32_set1(-87.3f)), f32_set1(88.3f));
  const VecF32 n = round_even(mul(x, f32_set1(1.44269504088896341f)));
  VecF32 r = fnma(n, f32_set1(0.693359375f), x);
  r = fnma(n, f32_set1(-2.12194440e-4f), r);
  VecF32 p = f32_set1(1.9875691500e-4f);
  p = fma(p, r, f32_set1(1.3981999507e-3f));
  p = fma(p, r, f32_set1(8.3334519073e-3f));
  p = fma(p, r, f32_set1(4.1665795894e-2f));
  p = fma(p, r, f32_set1(1.6666665459e-1f));
  p = fma(p, r, f32_set1(5.0000001201e-1f));
  p = fma(mul(r, r), p, add(r, f32_set1(1.0f)));
  return mul(p, exp2_of_integer(n));
}

inline VecF32 load_part(const float* p, int64_t n) {
  return n >= 8 ? f32_load(p) : load_tail<LoadF32>(p, n);
}
inline void store_part(float* p, VecF32 a, int64_t n) { store_rows(p, a, n < 8 ? n : 8); }

void rms_norm(const float* x, const float* gain, float epsilon, int64_t n, float* out) {
  VecF32 squares = f32_zero();
  for (int64_t i = 0; i < n; i += 8) {
    const VecF32 v = load_part(x + i, n - i);
    squares = fma(v, v, squares);
  }
  const float mean = sum_lanes(squares) / static_cast<float>(n);
  const VecF32 scale = f32_set1(1.0f / __builtin_sqrtf(mean + epsilon));
  for (int64_t i = 0; i < n; i += 8) {
    const VecF32 v = mul(mul(load_part(x + i, n - i), scale), load_part(gain + i, n - i));
    store_part(out + i, v, n - i);
  }
}

// The mean stands in for what is behind the end, so that it adds nothing to the variance.
inline VecF32 load_part_or(const float* p, int64_t n, float filler) {
  if (n >= 8) return f32_load(p);
  float padded[8];
  for (int i = 0; i < 8; ++i) padded[i] = i < n ? p[i] : filler;
  return f32_load(padded);
}

void layer_norm(const float* x, const float* gain, const float* bias, float epsilon, int64_t n,
                float* out) {
  VecF32 sums = f32_zero(), squares = f32_zero();
  for (int64_t i = 0; i < n; i += 8) sums = add(sums, load_part(x + i, n - i));
  const float mean = sum_lanes(sums) / static_cast<float>(n);
  for (int64_t i = 0; i < n; i += 8) {
    const VecF32 v = sub(load_part_or(x + i, n - i, mean), f32_set1(mean));
    squares = fma(v, v, squares);
  }
  const float variance = sum_lanes(squares) / static_cast<float>(n);
  const VecF32 scale = f32_set1(1.0f / __builtin_sqrtf(variance + epsilon));
  for (int64_t i = 0; i < n; i += 8) {
    VecF32 v = mul(sub(load_part(x + i, n - i), f32_set1(mean)), scale);
    v = mul(v, load_part(gain + i, n - i));
    if (bias != nullptr) v = add(v, load_part(bias + i, n - i));
    store_part(out + i, v, n - i);
  }
}

inline VecF32 sigmoid_lanes(VecF32 x) {
  const VecF32 one = f32_set1(1.0f);
  return div(one, add(one, exp_lanes(sub(f32_zero(), x))));
}

// tanh(x) = 2 sigmoid(2 x) - 1: absolute error about 1e-7, which is what caps need.
inline VecF32 tanh_lanes(VecF32 x) {
  const VecF32 s = sigmoid_lanes(add(x, x));
  return sub(add(s, s), f32_set1(1.0f));
}

struct Silu {
  static VecF32 apply(VecF32 x) { return mul(x, sigmoid_lanes(x)); }
};

// x (1 + tanh(u)) / 2 = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3)
struct GeluTanh {
  static VecF32 apply(VecF32 x) {
    const VecF32 cubic = fma(mul(f32_set1(0.044715f), mul(x, x)), x, x);
    return mul(x, sigmoid_lanes(mul(f32_set1(1.5957691216057308f), cubic)));
  }
};

// x (1 + erf(x / sqrt 2)) / 2 with erf by formula 7.1.26 of Abramowitz and Stegun (absolute error
// at most 1.5e-7).
struct GeluErf {
  static VecF32 apply(VecF32 x) {
    const VecF32 z = mul(abs(x), f32_set1(0.70710678118654752f));
    const VecF32 one = f32_set1(1.0f);
    const VecF32 t = div(one, fma(f32_set1(0.3275911f), z, one));
    VecF32 p = f32_set1(1.061405429f);
    p = fma(p, t, f32_set1(-1.453152027f));
    p = fma(p, t, f32_set1(1.421413741f));
    p = fma(p, t, f32_set1(-0.284496736f));
    p = fma(p, t, f32_set1(0.254829592f));
    const VecF32 tail = mul(mul(p, t), exp_lanes(sub(f32_zero(), mul(z, z))));  // 1 - erf(z)
    // x (2 - tail) / 2 for x >= 0, x tail / 2 below: both are max(x, 0) - |x| tail / 2.
    return fnma(mul(abs(x), f32_set1(0.5f)), tail, max(x, f32_zero()));
  }
};

template <typename Function>
void activate_mul(const float* gate, const float* up, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i += 8) {
    VecF32 v = Function::apply(load_part(gate + i, n - i));
    if (up != nullptr) v = mul(v, load_part(up + i, n - i));
    store_part(out + i, v, n - i);
  }
}

void softcap(float* x, float cap, int64_t n) {
  const VecF32 inverse = f32_set1(1.0f / cap);
  for (int64_t i = 0; i < n; i += 8) {
    const VecF32 v = tanh_lanes(mul(load_part(x + i, n - i), inverse));
    store_part(x + i, mul(v, f32_set1(cap)), n - i);
  }
}

void softmax(float* x, int64_t n) {
  VecF32 largest = f32_set1(-3.0e38f), sums = f32_zero();
  for (int64_t i = 0; i < n; i += 8) largest = max(largest, load_part_or(x + i, n - i, -3.0e38f));
  const VecF32 maximum = f32_set1(max_lanes(largest));
  for (int64_t i = 0; i < n; i += 8) {
    store_part(x + i, exp_lanes(sub(load_part(x + i, n - i), maximum)), n - i);
    sums = add(sums, load_part(x + i, n - i));
  }
  const VecF32 inverse = f32_set1(1.0f / sum_lanes(sums));
  for (int64_t i = 0; i < n; i += 8)
    store_part(x + i, mul(load_part(x + i, n - i), inverse), n - i);
}

void add_scaled(float* x, const float* y, float factor, int64_t n) {
  const VecF32 f = f32_set1(factor);
  for (int64_t i = 0; i < n; i += 8) {
    store_part(x + i, fma(load_part(y + i, n - i), f, load_part(x + i, n - i)), n - i);
  }
}

void scale_by(float* x, float factor, int64_t n) {
  const VecF32 f = f32_set1(factor);
  for (int64_t i = 0; i < n; i += 8) store_part(x + i, mul(load_part(x + i, n - i), f), n - i);
}

void add_to(float* x, const float* y, int64_t n) {
  for (int64_t i = 0; i < n; i += 8) {
    store_part(x + i, add(load_part(x + i, n - i), load_part(y + i, n - i)), n - i);
  }
}

void to_f16(const float* x, uint16_t* out, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) f32_store_f16(out + i, f32_load(x + i));
  if (i < n) {
    uint16_t lanes[8];
    f32_store_f16(lanes, load_tail<LoadF32>(x + i, n - i));
    for (int64_t k = 0; i + k < n; ++k) out[i + k] = lanes[k];
  }
}

void from_f16(const uint16_t* x, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += 8) {
    store_part(out + i, n - i >= 8 ? f32_load_f16(x + i) : load_tail<LoadF16>(x + i, n - i), n - i);
  }
}

// Codes of kCount values with one scale, sums of every kSum of them. Returns the scale.
template <int kCount, int kSum>
inline float quantize_block(const float* x, int8_t* codes, int16_t* sums) {
  VecF32 largest = f32_zero();
  for (int i = 0; i < kCount; i += 8) largest = max(abs(f32_load(x + i)), largest);
  const float magnitude = max_lanes(largest);
  const VecF32 inverse = f32_set1(magnitude > 0.0f ? 127.0f / magnitude : 0.0f);
  for (int s = 0; s < kCount / kSum; ++s) {
    int32_t total = 0;
    for (int i = 0; i < kSum; i += 8) {
      // The product may exceed 127 by an ulp and still rounds to 127; the clamp is for magnitudes
      // so small that 127 / magnitude is infinite.
      VecF32 v = mul(f32_load(x + s * kSum + i), inverse);
      v = min(max(v, f32_set1(-127.0f)), f32_set1(127.0f));
      total += store_codes(codes + s * kSum + i, v);
    }
    sums[s] = static_cast<int16_t>(total);
  }
  return magnitude / 127.0f;
}

void quantize_column(const float* x, int64_t n, Activation kind, std::byte* column) {
  const ColumnLayout layout = column_layout(kind, n);
  auto* codes = reinterpret_cast<int8_t*>(column);
  auto* scales = reinterpret_cast<float*>(column + layout.scales_offset);
  auto* sums = reinterpret_cast<int16_t*>(column + layout.sums_offset);
  if (kind == Activation::kQ8_32) {
    for (int64_t b = 0; b < n / 32; ++b) {
      scales[b] = quantize_block<32, 32>(x + 32 * b, codes + 32 * b, sums + b);
    }
  } else {
    for (int64_t b = 0; b < n / 256; ++b) {
      scales[b] = quantize_block<256, 16>(x + 256 * b, codes + 256 * b, sums + 16 * b);
    }
  }
}

// Four streams side by side: a core that reads one alone waits longer for memory.
uint64_t read_probe(const void* data, int64_t n) {
  constexpr int kStreams = 4, kVectors = 8;
  const auto* p = static_cast<const std::byte*>(data);
  const int64_t part = n / kStreams;
  VecI32 sums[kStreams];
  for (VecI32& sum : sums) sum = i32_zero();
  for (int64_t k = 0; k < part; k += 32 * kVectors) {
    for (int s = 0; s < kStreams; ++s) {
      const std::byte* stream = p + s * part + k;
      for (int i = 0; i < kVectors; ++i) sums[s] = add(sums[s], i32_load(stream + 32 * i));
    }
  }
  for (int s = 1; s < kStreams; ++s) sums[0] = add(sums[0], sums[s]);
  uint64_t words[4];
  i32_store(words, sums[0]);
  return words[0] ^ words[1] ^ words[2] ^ words[3];
}

float fma_probe(int64_t rounds) {
  using L = WideLanes;
  constexpr int kChains = 12;  // at once: as many as registers hold
  const L::F32 factor = L::set_f32(0.75f), term = L::set_f32(static_cast<float>(rounds));
  VecF32 total = f32_zero();
  for (int first = 0; first < kFmaChains; first += kChains * L::kGroups) {
    L::F32 sums[kChains];
    for (int i = 0; i < kChains; ++i) sums[i] = L::set_f32(static_cast<float>(first + i));
    for (int64_t round = 0; round < rounds; ++round) {
      for (L::F32& sum : sums) sum = fma(sum, factor, term);
    }
    for (const L::F32 sum : sums) total = add(total, L::group(sum, 0));
  }
  return sum_lanes(total);
}

// Products of every byte in a step of the probe: more than one where matrices are multiplied.
template <typename L>
inline constexpr int kProbeProducts = 1;
template <typename L>
requires requires { L::kProducts; }
inline constexpr int kProbeProducts<L> = L::kProducts;
template <typename L>
inline typename L::I32 int8_step(typename L::I32 sum, typename L::I8 a, typename L::I8 b) {
  if constexpr (kProbeProducts < L >> 1) {
    return L::probe_step(sum, a, b);
  } else {
    return probe_step(sum, a, b);
  }
}

uint64_t int8_probe(int64_t rounds) {
  using L = WideLanes;
  constexpr int kVector = 32 * L::kGroups, kSums = 8;
  constexpr int kPasses = kInt8ProbeOps / (2 * kSums * kVector * kProbeProducts<L>);
  alignas(64) int8_t bytes[kVector * (2 * kSums + 1)];
  for (int i = 0; i < kVector * (2 * kSums + 1); ++i) bytes[i] = static_cast<int8_t>(i & 15);
  const L::I8 a = L::load_i8(bytes + kVector * 2 * kSums);
  L::I32 sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = L::set_i32(0);
  for (int64_t round = 0; round < rounds * kPasses; ++round) {
    // Another address every round, or the products would be computed once for all rounds.
    const int8_t* p = bytes + kVector * (round % kSums);
    for (int i = 0; i < kSums; ++i) {
      sums[i] = int8_step<L>(sums[i], L::load_i8(p + kVector * i), a);
    }
  }
  for (int i = 1; i < kSums; ++i) sums[0] = add(sums[0], sums[i]);
  uint64_t words[kVector / 8];
  __builtin_memcpy(words, &sums[0], kVector);
  return words[0] ^ words[1] ^ words[2] ^ words[3];
}
