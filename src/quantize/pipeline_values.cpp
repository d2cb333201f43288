#include "quantize/pipeline_values.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace nibble {
namespace {

bool is_non_finite(float value) {
  return (std::bit_cast<uint32_t>(value) & 0x7f800000u) == 0x7f800000u;
}

// The count runs over everything, fast; only where something was found, it is looked for.
template <typename Predicate>
void count_if(const float* x, int64_t n, int64_t first, BadValues& bad, Predicate predicate) {
  const int64_t count = std::count_if(x, x + n, predicate);
  if (count > 0) bad.add(count, first + (std::find_if(x, x + n, predicate) - x));
}

}  // namespace

void count_non_finite(const float* x, int64_t n, int64_t first, BadValues& bad) {
  count_if(x, n, first, bad, is_non_finite);
}

void count_bad_scales(const Format& format, const std::byte* blocks, int64_t n, int64_t first,
                      BadValues& bad) {
  const int64_t count = count_bad_scales(format, blocks, n);
  if (count == 0) return;
  int64_t at = 0;
  while (count_bad_scales(format, blocks + format.size_bytes(at), format.block_len) == 0) {
    at += format.block_len;
  }
  bad.add(count, first + at);
}

float largest_weight(const Format& format) {
  switch (format.id) {
    case FormatId::F32:
      return std::numeric_limits<float>::max();
    case FormatId::BF16:
      return 0x1.fep127f;
    default:
      return 65504.f;  // of F16
  }
}

void count_too_large(const Format& target, const float* x, int64_t n, int64_t first,
                     BadValues& bad) {
  const float limit = largest_weight(target);
  count_if(x, n, first, bad, [=](float value) { return std::fabs(value) > limit; });
}

double ErrorSums::relative() const { return weight > 0 ? std::sqrt(error / weight) : 0; }

ErrorSums measure_error(const Format& format, const float* x, const std::byte* blocks, int64_t n) {
  constexpr int64_t kPiece = 2048;  // whole blocks of every format, and stays in the nearest cache
  constexpr int64_t kLanes = 8;
  float decoded[kPiece];
  double error[kLanes] = {}, weight[kLanes] = {};
  for (int64_t begin = 0; begin < n; begin += kPiece) {
    const int64_t n_piece = std::min(kPiece, n - begin);
    format.decode(blocks + format.size_bytes(begin), decoded, n_piece);
    const int64_t n_even = n_piece / kLanes * kLanes;
    for (int64_t i = 0; i < n_even; i += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        const double w = x[begin + i + lane], difference = w - decoded[i + lane];
        error[lane] += difference * difference;
        weight[lane] += w * w;
      }
    }
    for (int64_t i = n_even; i < n_piece; ++i) {
      const double w = x[begin + i], difference = w - decoded[i];
      error[0] += difference * difference;
      weight[0] += w * w;
    }
  }
  ErrorSums sums;
  for (int64_t lane = 0; lane < kLanes; ++lane) sums += {error[lane], weight[lane]};
  return sums;
}

}  // namespace nibble
