// NIBBLE_LANES floats at a time, for the encoders: one lane per block (or sub-block), so that no
// sum ever crosses lanes and every machine adds in the same order, however many lanes it has.
//
// These are the vector types of g++ and clang, not intrinsics: the compiler lowers them to SSE2,
// AVX2, NEON or plain scalar code with identical results (only +, -, *, / and comparisons are used,
// all exactly rounded, and -ffp-contract=off keeps them apart).
//
// Like everything that encoders-inl.h gathers: no includes, no namespace of its own.

constexpr int kLanes = NIBBLE_LANES;
static_assert(kLanes == 4 || kLanes == 8);
using F = float __attribute__((vector_size(4 * NIBBLE_LANES)));
using I = int32_t __attribute__((vector_size(4 * NIBBLE_LANES)));  // as a mask: all bits or none

inline F splat(float v) { return v - F{}; }  // v - 0 is v, -0 included
inline I splat_int(int32_t v) { return v - I{}; }
inline I bits_of(F v) { return __builtin_bit_cast(I, v); }
inline F float_of(I v) { return __builtin_bit_cast(F, v); }
inline F select(I mask, F yes, F no) { return mask ? yes : no; }
inline I select(I mask, I yes, I no) { return mask ? yes : no; }
// An unordered comparison takes b: a NaN in a does not survive.
inline F min(F a, F b) { return a < b ? a : b; }
inline F max(F a, F b) { return a > b ? a : b; }
inline F clamp(F v, float lo, float hi) { return max(min(v, splat(hi)), splat(lo)); }
inline F abs(F a) { return float_of(bits_of(a) & 0x7fffffff); }
// To the nearest integer, ties to even, for |a| < 2^22: adding 1.5 * 2^23 leaves no fraction bits.
constexpr float kRoundMagic = 12582912.0f;
inline F round(F a) { return (a + kRoundMagic) - kRoundMagic; }
// 1 / a where a != 0, else 0.
inline F inverse(F a) { return select(a != 0.0f, 1.0f / a, splat(0.0f)); }

inline F load(const float* p) {
  F v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
inline void store(F v, float* p) { __builtin_memcpy(p, &v, sizeof v); }

using F4 = float __attribute__((vector_size(16)));

// out[j] holds element 4 * j .. of four consecutive blocks of `len` floats, transposed.
inline void transpose_four(const float* blocks, int len, F4 out[4]) {
  F4 a, b, c, d;
  __builtin_memcpy(&a, blocks, sizeof a);
  __builtin_memcpy(&b, blocks + len, sizeof b);
  __builtin_memcpy(&c, blocks + 2 * len, sizeof c);
  __builtin_memcpy(&d, blocks + 3 * len, sizeof d);
  const F4 ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const F4 ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const F4 cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const F4 cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  out[0] = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
  out[1] = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
  out[2] = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
  out[3] = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

// Transposes kLanes consecutive blocks of `len` floats, a multiple of 4: out[j] holds element j of
// every block.
inline void transpose(const float* blocks, int len, F* out) {
  for (int j = 0; j < len; j += 4) {
    F4 low[4];
    transpose_four(blocks + j, len, low);
#if NIBBLE_LANES == 8
    F4 high[4];
    transpose_four(blocks + 4 * len + j, len, high);
    for (int k = 0; k < 4; ++k) {
      out[j + k] = __builtin_shufflevector(low[k], high[k], 0, 1, 2, 3, 4, 5, 6, 7);
    }
#else
    for (int k = 0; k < 4; ++k) out[j + k] = low[k];
#endif
  }
}

// Values are searched in a normalised range: multiplied by the power of two that brings the largest
// magnitude of a block near 1, so that no square over- or underflows whatever the input. Exact.
// From the bits of the largest magnitude. Exponents are clamped so that both factors are normal
// numbers: the largest normalised magnitude is then below 4, and at least 2^-23 where all are
// subnormal.
struct PowerOfTwo {
  float up;    // original -> normalised
  float down;  // normalised -> original
};
inline PowerOfTwo normaliser(const float* x, int n) {
  int32_t largest = 0;  // magnitudes of floats order like their bits
  for (int j = 0; j < n; ++j) {
    const int32_t magnitude = __builtin_bit_cast(int32_t, x[j]) & 0x7fffffff;
    largest = magnitude > largest ? magnitude : largest;
  }
  int32_t exponent = largest >> 23;
  exponent = exponent < 1 ? 1 : exponent > 253 ? 253 : exponent;
  return {__builtin_bit_cast(float, (254 - exponent) << 23),
          __builtin_bit_cast(float, exponent << 23)};
}
// The same, a block in every lane.
struct PowersOfTwo {
  F up, down;
};
inline PowersOfTwo normalisers(const F* x, int n) {
  I largest{};
  for (int j = 0; j < n; ++j) {
    const I magnitude = bits_of(x[j]) & 0x7fffffff;
    largest = select(magnitude > largest, magnitude, largest);
  }
  I exponent = largest >> 23;
  exponent = select(exponent < 1, splat_int(1), exponent);
  exponent = select(exponent > 253, splat_int(253), exponent);
  return {float_of((254 - exponent) << 23), float_of(exponent << 23)};
}

// Numbers rounded to binary16 (ties to even) with overflow clamped to +-65504, as bits and as what
// these decode to. Equal to f32_to_f16() and f16_to_f32() of base/half.h, which a test checks.
struct Half {
  I bits;
  F value;
};
inline Half to_half(F v) {
  constexpr float kMax = 65504.0f;
  const I sign = bits_of(v) & static_cast<int32_t>(0x80000000u);
  const I magnitude = bits_of(min(abs(v), splat(kMax)));
  const I odd = (magnitude >> 13) & 1;
  const I rounded = (magnitude + 0xfff + odd) >> 13;
  // Below 2^-14 the addition of 0.5 does the rounding: its last place is 2^-24.
  const F shifted = float_of(magnitude) + 0.5f;
  const I subnormal = magnitude < 0x38800000;
  const I half = select(subnormal, bits_of(shifted) - 0x3f000000, rounded - (0x38000000 >> 13));
  const F value = select(subnormal, shifted - 0.5f, float_of(rounded << 13));
  return {half | ((sign >> 16) & 0x8000), float_of(bits_of(value) | sign)};
}
// The same, but never zero where v is not: codes can still make use of the smallest subnormal.
inline Half to_half_nonzero(F v) {
  Half h = to_half(v);
  const I lost = ((h.bits & 0x7fff) == 0) & (v != 0.0f);
  const I sign = bits_of(v) & static_cast<int32_t>(0x80000000u);
  h.bits |= lost & 1;
  h.value = select(lost, float_of(bits_of(splat(0x1p-24f)) | sign), h.value);
  return h;
}

// One number, as to_half_nonzero().
struct HalfScalar {
  uint16_t bits;
  float value;
};
inline HalfScalar to_half_nonzero(float v) {
  const Half h = to_half_nonzero(splat(v));
  return {static_cast<uint16_t>(h.bits[0]), h.value[0]};
}
