// A checksum of bytes that arrive in any order and in any pieces.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace nibble {

// The share of `bytes`, which stand at `offset`, in the checksum of the whole. The checksum of a
// tensor is the sum modulo 2^64 of the shares of its pieces, however it was cut.
//
// The whole is read as little-endian 64-bit words at multiples of 8, each split in halves:
//
//   sum over i of  low32(word[i]) * key(i)  +  high32(word[i]) * rotl(key(i), 32)
//
// It is linear in every bit, which makes it independent of cuts, also inside a word. key(i) is
// SplitMix64's mix of i with both halves made odd: a change within one half of a word always shows;
// any other accidental change, a swap of pieces included, escapes with a chance of about 2^-32
// (multilinear hashing). It is no defence against an adversary, who could write the file anyway.
// Zero bytes count nothing, so a hole that reads as zeros equals written zeros.
inline uint64_t positional_checksum(uint64_t offset, std::span<const std::byte> bytes) {
  const auto share = [](uint64_t index, uint64_t word) {
    uint64_t key = (index + 1) * 0x9e3779b97f4a7c15ull;
    key = (key ^ (key >> 30)) * 0xbf58476d1ce4e5b9ull;
    key = (key ^ (key >> 27)) * 0x94d049bb133111ebull;
    key = (key ^ (key >> 31)) | 0x0000000100000001ull;
    return (word & 0xffffffffu) * key + (word >> 32) * std::rotl(key, 32);
  };
  // A word of which only `part` is here: the other bytes as zeros.
  const auto cut_share = [&](uint64_t index, size_t start, std::span<const std::byte> part) {
    std::byte padded[8] = {};
    if (!part.empty()) std::memcpy(padded + start, part.data(), part.size());
    uint64_t word;
    std::memcpy(&word, padded, 8);
    return share(index, word);
  };
  uint64_t sum = 0;
  uint64_t index = offset / 8;
  if (const size_t start = offset % 8; start != 0) {
    const size_t n = std::min(bytes.size(), 8 - start);
    sum += cut_share(index++, start, bytes.first(n));
    bytes = bytes.subspan(n);
  }
  for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), 8);
    sum += share(index++, word);
  }
  return sum + cut_share(index, 0, bytes);
}

}  // namespace nibble
