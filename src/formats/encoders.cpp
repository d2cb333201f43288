// The searching encoders with four lanes: what every machine can run, and the reference for the
// copies with more lanes in kernels/.
#include <cstdint>

#include "formats/blocks.h"
#include "formats/codecs.h"

#define NIBBLE_LANES 4

namespace nibble {

namespace four_lanes {
namespace {
#include "formats/encoders-inl.h"
}  // namespace
}  // namespace four_lanes

namespace codecs {

#define NIBBLE_DEFINE(name)                                                                     \
  void encode_blocks(const float* x, const float* importance, Block##name* blocks, int64_t n) { \
    four_lanes::encode_blocks(x, importance, blocks, n);                                        \
  }
NIBBLE_FOR_SEARCHED_FORMATS(NIBBLE_DEFINE)
#undef NIBBLE_DEFINE

}  // namespace codecs
}  // namespace nibble
