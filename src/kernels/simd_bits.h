// What a vector vocabulary has in plain C++ where the machine has no instruction for it.

// The bits of the mask, moved together.
inline uint64_t pick_bits(uint64_t word, uint64_t mask) {
  uint64_t r = 0;
  for (int at = 0; mask != 0; mask &= mask - 1, ++at) {
    if (word & mask & (~mask + 1)) r |= uint64_t{1} << at;
  }
  return r;
}
