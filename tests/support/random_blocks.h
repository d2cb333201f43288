// Random blocks of any format, for formats that we do not write and for tests of all codes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "base/random.h"
#include "formats/blocks.h"
#include "formats/format.h"

namespace nibble::testing {

// n weights as random bytes; blocks with a scale that is NaN or infinite are drawn again.
inline std::vector<std::byte> random_blocks(const Format& format, int64_t n, Random& random) {
  std::vector<std::byte> bytes(format.size_bytes(n));
  for (size_t at = 0; at < bytes.size(); at += format.block_bytes) {
    do {
      for (size_t i = 0; i < format.block_bytes; ++i) {
        bytes[at + i] = static_cast<std::byte>(random.next());
      }
    } while (count_bad_scales(format, bytes.data() + at, format.block_len) != 0);
  }
  return bytes;
}

// Calls f(Block*) with a null pointer of the format's struct. False: the format has none.
template <typename... Blocks, typename F>
bool with_block_of(FormatId id, F f) {
  return ((Blocks::kId == id && (f(static_cast<Blocks*>(nullptr)), true)) || ...);
}
template <typename F>
bool with_block(FormatId id, F f) {
  return with_block_of<BlockQ4_0, BlockQ4_1, BlockQ5_0, BlockQ5_1, BlockQ8_0, BlockIQ4_NL,
                       BlockMXFP4, BlockNVFP4, BlockQ1_0, BlockQ2_0, BlockQ2_K, BlockQ3_K,
                       BlockQ4_K, BlockQ5_K, BlockQ6_K, BlockIQ4_XS, BlockTQ1_0, BlockTQ2_0,
                       BlockIQ1_S, BlockIQ1_M, BlockIQ2_XXS, BlockIQ2_XS, BlockIQ2_S, BlockIQ3_XXS,
                       BlockIQ3_S>(id, f);
}

// Sets all float scales and minima to `scale`, an f16 (MXFP4, NVFP4: to 1), normally 1: dots are
// then integers (IQ1, IQ2: eighths; IQ3_XXS: quarters). False: not a format of blocks.
inline bool set_unit_scales(const Format& format, std::vector<std::byte>& bytes,
                            uint16_t scale = 0x3c00) {
  return with_block(format.id, [&](auto* type) {
    using Block = std::remove_pointer_t<decltype(type)>;
    auto* blocks = reinterpret_cast<Block*>(bytes.data());
    for (size_t b = 0; b < bytes.size() / sizeof(Block); ++b) {
      if constexpr (Block::kId == FormatId::MXFP4) {
        blocks[b].e = 128;
      } else if constexpr (Block::kId == FormatId::NVFP4) {
        for (uint8_t& d : blocks[b].d) d = 0x40;  // 2, and half of it counts
      } else if constexpr (Block::kId == FormatId::IQ1_M) {
        for (int k = 0; k < 4; ++k) {
          const int nibble = (scale >> (4 * k)) & 15;
          blocks[b].scales[k] =
              static_cast<uint16_t>((blocks[b].scales[k] & 0x0fff) | (nibble << 12));
        }
      } else {
        blocks[b].d = scale;
        if constexpr (requires { blocks[b].m; }) blocks[b].m = scale;
        if constexpr (requires { blocks[b].dmin; }) blocks[b].dmin = scale;
      }
    }
  });
}

}  // namespace nibble::testing
