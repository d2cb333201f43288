// Q1_0, Q2_0: one scale over codes of one or two bits. Read only.
#include "base/half.h"
#include "formats/codecs.h"

namespace nibble::codecs {

void decode_block(const BlockQ1_0& block, float* x) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < BlockQ1_0::kLen; ++j) x[j] = (block.qs[j / 8] >> (j % 8)) & 1 ? d : -d;
}

void decode_block(const BlockQ2_0& block, float* x) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < BlockQ2_0::kLen; ++j) {
    x[j] = static_cast<float>(((block.qs[j / 4] >> (j % 4 * 2)) & 3) - 1) * d;
  }
}

}  // namespace nibble::codecs
