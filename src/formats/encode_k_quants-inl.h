// Q2_K, Q3_K, Q4_K, Q5_K, Q6_K: weights of the error, constants of the search, packing.

// With importance: the weights that llama.cpp uses too.
constexpr WeightRule kSeeingQ2K = {Emphasis::kRoot, 1.0f};
constexpr WeightRule kSeeingQ3K = {Emphasis::kRoot, 2.0f};
constexpr WeightRule kSeeingQ4K = {Emphasis::kRoot, 2.0f};
constexpr WeightRule kSeeingQ6K = {Emphasis::kNone, 0.0f};
// Without data (docs/FORMATS.md has what was measured).
constexpr WeightRule kBlindQ2K = {Emphasis::kRoot, 0.05f};
constexpr WeightRule kBlindQ3K = {Emphasis::kOutliers, 8.0f};
constexpr WeightRule kBlindQ4K = {Emphasis::kRoot, 2.0f};
constexpr WeightRule kBlindQ6K = {Emphasis::kRoot, 1.0f};

constexpr Candidates kCandidatesQ2K = {-0.9f, 0.1f, 18};
constexpr Candidates kCandidatesQ3K = {-0.9f, 0.2f, 10};
constexpr Candidates kCandidatesQ4K = {-0.9f, 0.15f, 16};
constexpr Candidates kCandidatesQ5K = {-1.5f, 0.3f, 12};
constexpr Candidates kCandidatesQ6K = {-0.9f, 0.4f, 6};

using FormatQ2K = AffineFormat<16, 3, 15, 3>;
using FormatQ4K = AffineFormat<32, 15, 63, 3>;
using FormatQ5K = AffineFormat<32, 31, 63, 3>;
using FormatQ3K = SymmetricFormat<IntegerCodes<-4, 3>, 16, -32, 31, 7>;
using FormatQ6K = SymmetricFormat<IntegerCodes<-32, 31>, 16, -128, 127, 16>;

// The inverse of scale_min_k4() for all eight sub-blocks.
inline void pack_scales_k4(const uint8_t sc[8], const uint8_t m[8], uint8_t scales[12]) {
  for (int j = 0; j < 4; ++j) {
    scales[j] = static_cast<uint8_t>(sc[j] | ((sc[j + 4] >> 4) << 6));
    scales[j + 4] = static_cast<uint8_t>(m[j] | ((m[j + 4] >> 4) << 6));
    scales[j + 8] = static_cast<uint8_t>((sc[j + 4] & 15) | ((m[j + 4] & 15) << 4));
  }
}

// The inverse of scale_q3(); sc[j] in 0..63.
inline void pack_scales_q3(const uint8_t sc[16], uint8_t scales[12]) {
  for (int j = 0; j < 8; ++j) {
    scales[j] = static_cast<uint8_t>((sc[j] & 15) | ((sc[j + 8] & 15) << 4));
  }
  for (int k = 0; k < 4; ++k) {
    scales[8 + k] = static_cast<uint8_t>((sc[k] >> 4) | ((sc[k + 4] >> 4) << 2) |
                                         ((sc[k + 8] >> 4) << 4) | ((sc[k + 12] >> 4) << 6));
  }
}

// Two bits per weight in the order of Q2_K; q[j] & 3 counts.
inline void pack_two_bits(const int8_t q[256], uint8_t qs[64]) {
  for (int half = 0; half < 2; ++half) {
    const int8_t* w = q + 128 * half;
    for (int l = 0; l < 32; ++l) {
      qs[32 * half + l] = static_cast<uint8_t>((w[l] & 3) | ((w[32 + l] & 3) << 2) |
                                               ((w[64 + l] & 3) << 4) | ((w[96 + l] & 3) << 6));
    }
  }
}

// Four bits per weight in the order of Q4_K; q[j] & 15 counts.
inline void pack_four_bits(const int8_t q[256], uint8_t qs[128]) {
  for (int g = 0; g < 4; ++g) {
    for (int l = 0; l < 32; ++l) {
      qs[32 * g + l] =
          static_cast<uint8_t>((q[64 * g + l] & 15) | ((q[64 * g + 32 + l] & 15) << 4));
    }
  }
}

// Bit `bit` of every weight: byte l holds those of w[l], w[32 + l], ... from its lowest bit up.
inline void pack_one_bit(const int8_t q[256], int bit, uint8_t high[32]) {
  for (int l = 0; l < 32; ++l) {
    int bits = 0;
    for (int j = 0; j < 8; ++j) bits |= ((q[32 * j + l] >> bit) & 1) << j;
    high[l] = static_cast<uint8_t>(bits);
  }
}

inline void encode_blocks(const float* x, const float* importance, BlockQ2_K* blocks, int64_t n) {
  const WeightRule& rule = importance ? kSeeingQ2K : kBlindQ2K;
  AffineSuperBlock found;
  for (int64_t i = 0; i < n; i += BlockQ2_K::kLen, ++blocks) {
    search_affine<FormatQ2K>(x + i, importance ? importance + i : nullptr, rule, kCandidatesQ2K,
                             found);
    blocks->d = found.d;
    blocks->dmin = found.dmin;
    for (int j = 0; j < 16; ++j) {
      blocks->scales[j] = static_cast<uint8_t>(found.sc[j] | (found.m[j] << 4));
    }
    pack_two_bits(found.q, blocks->qs);
  }
}

inline void encode_blocks(const float* x, const float* importance, BlockQ3_K* blocks, int64_t n) {
  const WeightRule& rule = importance ? kSeeingQ3K : kBlindQ3K;
  SymmetricSuperBlock found;
  for (int64_t i = 0; i < n; i += BlockQ3_K::kLen, ++blocks) {
    search_symmetric<FormatQ3K>(x + i, importance ? importance + i : nullptr, rule, kCandidatesQ3K,
                                found);
    blocks->d = found.d;
    uint8_t sc[16];
    for (int j = 0; j < 16; ++j) sc[j] = static_cast<uint8_t>(found.sc[j] + 32);
    pack_scales_q3(sc, blocks->scales);
    for (int8_t& q : found.q) q = static_cast<int8_t>(q + 4);
    pack_two_bits(found.q, blocks->qs);
    pack_one_bit(found.q, 2, blocks->hmask);
  }
}

template <typename Format, typename Block>
void encode_affine_k4(const float* x, const float* importance, const Candidates& candidates,
                      Block* blocks, int64_t n) {
  const WeightRule& rule = importance ? kSeeingQ4K : kBlindQ4K;
  AffineSuperBlock found;
  for (int64_t i = 0; i < n; i += Block::kLen, ++blocks) {
    search_affine<Format>(x + i, importance ? importance + i : nullptr, rule, candidates, found);
    blocks->d = found.d;
    blocks->dmin = found.dmin;
    pack_scales_k4(found.sc, found.m, blocks->scales);
    pack_four_bits(found.q, blocks->qs);
    if constexpr (requires { blocks->qh; }) pack_one_bit(found.q, 4, blocks->qh);
  }
}

inline void encode_blocks(const float* x, const float* importance, BlockQ4_K* blocks, int64_t n) {
  encode_affine_k4<FormatQ4K>(x, importance, kCandidatesQ4K, blocks, n);
}
inline void encode_blocks(const float* x, const float* importance, BlockQ5_K* blocks, int64_t n) {
  encode_affine_k4<FormatQ5K>(x, importance, kCandidatesQ5K, blocks, n);
}

inline void encode_blocks(const float* x, const float* importance, BlockQ6_K* blocks, int64_t n) {
  const WeightRule& rule = importance ? kSeeingQ6K : kBlindQ6K;
  SymmetricSuperBlock found;
  for (int64_t i = 0; i < n; i += BlockQ6_K::kLen, ++blocks) {
    search_symmetric<FormatQ6K>(x + i, importance ? importance + i : nullptr, rule, kCandidatesQ6K,
                                found);
    blocks->d = found.d;
    for (int j = 0; j < 16; ++j) blocks->scales[j] = found.sc[j];
    for (int half = 0; half < 2; ++half) {
      const int8_t* q = found.q + 128 * half;
      for (int l = 0; l < 32; ++l) {
        int code[4];
        for (int k = 0; k < 4; ++k) code[k] = q[32 * k + l] + 32;
        blocks->ql[64 * half + l] = static_cast<uint8_t>((code[0] & 15) | ((code[2] & 15) << 4));
        blocks->ql[64 * half + 32 + l] =
            static_cast<uint8_t>((code[1] & 15) | ((code[3] & 15) << 4));
        blocks->qh[32 * half + l] = static_cast<uint8_t>(
            (code[0] >> 4) | ((code[1] >> 4) << 2) | ((code[2] >> 4) << 4) | ((code[3] >> 4) << 6));
      }
    }
  }
}
