#include "ops/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace nibble {
namespace {

// The pair that turns `n_turns` times within the original context, as a fraction.
double pair_that_turns(double n_turns, const Rope::Options& options) {
  const double wavelength = static_cast<double>(options.n_ctx_original) / n_turns;
  return static_cast<double>(options.n_dims) * std::log(wavelength / (2.0 * std::numbers::pi)) /
         (2.0 * std::log(options.base));
}

// How much of the unscaled frequency pair i keeps, 0 to 1.
double share_kept(int64_t i, const Rope::Options& options) {
  const double low = std::max(0.0, std::floor(pair_that_turns(options.beta_fast, options)));
  const double high = std::min(static_cast<double>(options.n_dims - 1),
                               std::ceil(pair_that_turns(options.beta_slow, options)));
  const double ramp = (static_cast<double>(i) - low) / std::max(0.001, high - low);
  return (1.0 - std::clamp(ramp, 0.0, 1.0)) * options.extrapolation;
}

}  // namespace

Result<Rope> Rope::create(const Options& options, int64_t max_tokens) {
  Rope rope;
  rope.n_dims_ = options.n_dims;
  rope.interleaved_ = options.interleaved;
  rope.magnitude_ = options.magnitude;
  const int64_t n_pairs = options.n_dims / 2;
  ASSIGN_OR_RETURN(rope.frequencies_,
                   Buffer::allocate(static_cast<size_t>(n_pairs) * sizeof(double)));
  ASSIGN_OR_RETURN(rope.angles_,
                   Buffer::allocate(static_cast<size_t>(max_tokens * n_pairs * 2) * sizeof(float)));
  ASSIGN_OR_RETURN(rope.positions_,
                   Buffer::allocate(static_cast<size_t>(max_tokens) * sizeof(int32_t)));
  for (int64_t i = 0; i < n_pairs; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(options.n_dims);
    double frequency = std::pow(options.base, exponent);
    if (!options.factors.empty())
      frequency /= static_cast<double>(options.factors[static_cast<size_t>(i)]);
    const double kept = options.extrapolation != 0.0 ? share_kept(i, options) : 0.0;
    rope.frequencies_.as<double>()[i] = frequency * (options.position_scale * (1.0 - kept) + kept);
  }
  return rope;
}

void Rope::set_positions(std::span<const int32_t> positions) {
  auto* held = positions_.as<int32_t>();
  if (n_positions_ == positions.size() && std::equal(positions.begin(), positions.end(), held)) {
    return;
  }
  std::copy(positions.begin(), positions.end(), held);
  n_positions_ = positions.size();
  const auto* frequencies = frequencies_.as<double>();
  auto* angles = angles_.as<float>();
  for (const int32_t position : positions) {
    for (int64_t i = 0; i < n_dims_ / 2; ++i) {
      const double angle = static_cast<double>(position) * frequencies[i];
      *angles++ = static_cast<float>(std::cos(angle) * magnitude_);
      *angles++ = static_cast<float>(std::sin(angle) * magnitude_);
    }
  }
}

void Rope::apply(Workspace& workspace, float* x, int64_t n_tokens, int64_t n_heads,
                 int64_t head_dim) const {
  const int64_t n_pairs = n_dims_ / 2;
  const int64_t step = interleaved_ ? 2 : 1, distance = interleaved_ ? 1 : n_pairs;
  workspace.pool().parallel_for(n_tokens, 8, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      const float* angles = angles_.as<float>() + t * n_dims_;
      for (int64_t h = 0; h < n_heads; ++h) {
        float* head = x + (t * n_heads + h) * head_dim;
        for (int64_t i = 0; i < n_pairs; ++i) {
          const float cosine = angles[2 * i], sine = angles[2 * i + 1];
          float& a = head[i * step];
          float& b = head[i * step + distance];
          const float rotated = a * cosine - b * sine;
          b = a * sine + b * cosine;
          a = rotated;
        }
      }
    }
  });
}

}  // namespace nibble
