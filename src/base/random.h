// Reproducible random numbers: the same seed gives the same numbers on every machine and compiler
// (std::normal_distribution does not promise that).
#pragma once

#include <cstdint>

namespace nibble {

// SplitMix64 (Steele, Lea, Flood 2014): one 64-bit state, passes BigCrush, trivially seekable.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

  // Uniform in [0, 1), 53 bits.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

  // Uniform in [0, n), n >= 1 (bias below n / 2^64).
  uint64_t below(uint64_t n) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * n) >> 64);
  }

  // Mean 0, variance 1, from a table-free sum of 12 uniforms minus 6 (Irwin-Hall): exact arithmetic
  // on every platform, tails cut at 6 sigma. Good enough for generated weights and planted factors.
  double normal() {
    double sum = 0;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum - 6.0;
  }

 private:
  uint64_t state_;
};

}  // namespace nibble
