// How the encoders find scales: candidate inverse scales, round to codes, then the scale that is
// best for these codes in closed form (weighted least squares). Every search works on kCount blocks
// at once, one per lane (formats/lanes.h), and gives the same bits on every machine.
//
// Sources of the methods: the candidate search with a closed-form scale is the one llama.cpp made
// common for ggml's formats; the walk over integer block scales with re-solved d and dmin is
// coordinate descent on the stored integers themselves. The text is our own.
#pragma once

#include <cstdint>

#include "formats/lanes.h"

namespace nibble::search {

using lanes::F4;

// Values are searched in a normalised range: multiplied by the power of two that brings the largest
// magnitude of a block near 1, so that no square over- or underflows whatever the input. Exact.
struct PowerOfTwo {
  float up;    // original -> normalised
  float down;  // normalised -> original
};
PowerOfTwo normaliser(const float* x, int n);  // n finite values

// The binary16 nearest to v, with finite overflow clamped to +-65504 (a scale is never infinite).
uint16_t finite_f16(float v);
// The same, but never zero where v is not: codes can still make use of the smallest subnormal.
uint16_t finite_f16_nonzero(float v);

// Search weights of n values (normalised by `scale`): w_j = h_j * sqrt(sigma2 + x_j^2).
// h_j are floored at 2^-20 of their largest so that no block is left without weight; importance
// null means h_j = 1. `plain_values` drops the square root: w_j = h_j.
void search_weights(const float* x, const float* importance, int n, float sigma2, bool plain_values,
                    float* w);
// Mean of x_j^2 over n values.
float mean_square(const float* x, int64_t n);

// Candidate inverse scales are (n + first + step * i) / extreme, i = 0 .. count - 1: the extreme
// value lands that far from the last code, beyond it (clipping) where positive.
struct Candidates {
  float first;
  float step;
  int count;
};

// x ~ d * q, q integer in [lo, hi], lo < 0 < hi. Returns d, of either sign, per lane; 0 for a lane
// without a non-zero value. With lo != -hi both signs of the extreme value are tried.
// x, w: [len] lanes. refit_passes: rounds of "recode with d, solve d again" at the end.
F4 fit_symmetric(const F4* x, const F4* w, int len, int lo, int hi, const Candidates& candidates,
                 int refit_passes);

// x ~ d * q + min, q integer in [0, n]; d >= 0. Each candidate starts from the best minimum so far,
// so that the lower end is searched along with the scale (1 to 2 % less error than a fixed start).
struct Affine {
  F4 d;
  F4 min;
};
// nonpositive_min: K-quants cannot store a positive minimum; the range then always includes 0.
Affine fit_affine(const F4* x, const F4* w, int len, int n, bool nonpositive_min,
                  const Candidates& candidates, int refit_passes);

// x ~ d * kIQ4Values[q]. Returns d, of either sign.
F4 fit_iq4(const F4* x, const F4* w, int len);
// The table value (not its index) nearest to each lane of t.
F4 nearest_iq4_value(F4 t);

// Non-negative block scales as integers: s_j ~ d * q_j, q_j in [0, max_code], weighted. n <= 16.
// Returns d (0 when all scales are 0). Only d is returned: d is rounded before the codes are made.
float fit_block_scales(const float* s, const float* weight, int n, int max_code);

// The result of a search over 256 weights with integer block scales, ready to be packed.
struct AffineSuperBlock {
  uint16_t d, dmin;     // f16
  uint8_t sc[8], m[8];  // 0..63
  uint8_t q[256];       // 0..max_code
};
// x ~ d * sc[j] * q - dmin * m[j], 8 sub-blocks of 32 (Q4_K: max_code 15, Q5_K: 31).
void search_affine_super_block(const float* x, const float* importance, int max_code,
                               AffineSuperBlock& out);

struct SymmetricSuperBlock {
  uint16_t d;     // f16
  int8_t sc[16];  // -128..127
  int8_t q[256];  // -32..31
};
// x ~ d * sc[j] * q, 16 sub-blocks of 16 (Q6_K).
void search_symmetric_super_block(const float* x, const float* importance,
                                  SymmetricSuperBlock& out);

}  // namespace nibble::search
