// The grids of the codebook formats: facts of the formats, as data (codebooks.cpp, generated).
#pragma once

#include <cstdint>

namespace nibble {

// One entry per index; the lowest byte is the first value of the group.
struct Codebooks {
  alignas(64) uint64_t iq1[2048];     // IQ1_S, IQ1_M: bytes 8 * (g + 1), g in {-1, 0, 1}
  alignas(64) uint32_t iq3_xxs[256];  // bytes g in {4, 12, 20, 28, 36, 44, 52, 62}
  alignas(64) uint32_t iq3_s[512];    // bytes g in {1, 3, ..., 15}
  alignas(64) uint64_t iq2_xxs[256];  // bytes g in {8, 25, 43}, as in the next two
  alignas(64) uint64_t iq2_xs[512];
  alignas(64) uint64_t iq2_s[1024];
};
extern const Codebooks kCodebooks;

}  // namespace nibble
