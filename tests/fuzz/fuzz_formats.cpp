// Any bytes as blocks of any format: decoding must be defined, and what it gives, where finite,
// must encode to finite blocks of every format.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "formats/format.h"

namespace {

using nibble::Format;

constexpr int64_t kMaxWeights = 1024;

void encode_all(const std::vector<float>& x, const float* importance) {
  const auto n = static_cast<int64_t>(x.size());
  std::vector<float> decoded(x.size());
  for (const Format& format : nibble::all_formats()) {
    if (format.encode == nullptr) continue;
    std::vector<std::byte> blocks(format.size_bytes(n));
    format.encode(x.data(), importance, blocks.data(), n);
    if (nibble::count_bad_scales(format, blocks.data(), n) != 0) std::abort();
    format.decode(blocks.data(), decoded.data(), n);
    for (const float v : decoded) {
      if (!std::isfinite(v)) std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto formats = nibble::all_formats();
  const Format& format = formats[data[0] % formats.size()];
  const bool weighted = (data[1] & 1) != 0;
  const std::vector<uint8_t> bytes(data + 2, data + size);  // its own buffer: even, and bounded
  int64_t n = static_cast<int64_t>(bytes.size() / format.block_bytes) * format.block_len;
  if (n > kMaxWeights) n = kMaxWeights;

  std::vector<float> x(static_cast<size_t>(n));
  format.decode(bytes.data(), x.data(), n);
  if (nibble::count_bad_scales(format, bytes.data(), n) > n) std::abort();

  for (float& v : x) {
    if (!std::isfinite(v)) v = 0;
  }
  x.resize((x.size() + 255) / 256 * 256);  // a whole number of every format's blocks
  if (x.empty()) return 0;
  std::vector<float> importance;
  for (const float v : x) importance.push_back(std::fabs(v));
  encode_all(x, weighted ? importance.data() : nullptr);
  return 0;
}
