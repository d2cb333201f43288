// Random isometries: linear maps into more dimensions that keep every length and angle.
#pragma once

#include <cstdint>
#include <vector>

#include "base/thread_pool.h"

namespace nibble::lab {

// Q with orthonormal columns, in both layouts.
struct Isometry {
  int64_t narrow = 0, wide = 0;
  std::vector<float> q;             // [wide, narrow]
  std::vector<float> q_transposed;  // [narrow, wide]: row k is where axis k goes
};

// Gaussian columns made orthonormal by modified Gram-Schmidt in double precision (Golub, Van Loan,
// Matrix Computations, section 5.2). narrow <= wide. The same for any number of threads. Costs
// narrow^2 * wide multiply-adds.
Isometry random_isometry(int64_t narrow, int64_t wide, uint64_t seed, ThreadPool& pool);

// out = a * b; a: [n, depth], b: [depth, width], out: [n, width]. One order of summation per
// element, whatever n.
void multiply(const float* a, const float* b, int64_t n, int64_t depth, int64_t width, float* out);

}  // namespace nibble::lab
