#include "ops/layers.h"

#include <cmath>

namespace nibble {

void rms_norm_rows(Workspace& workspace, const float* x, const float* gain, float epsilon,
                   int64_t n_tokens, int64_t n, float* out) {
  workspace.pool().parallel_for(n_tokens, 8, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      workspace.kernels().rms_norm(x + t * n, gain, epsilon, n, out + t * n);
    }
  });
}

void silu_mul_rows(Workspace& workspace, float* gate, const float* up, int64_t n_tokens,
                   int64_t n) {
  workspace.pool().parallel_for(n_tokens, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      workspace.kernels().silu_mul(gate + t * n, up + t * n, n, gate + t * n);
    }
  });
}

void add_rows(Workspace& workspace, float* x, const float* y, int64_t n_tokens, int64_t n) {
  workspace.pool().parallel_for(n_tokens, 16, [&](int64_t begin, int64_t end, int) {
    workspace.kernels().add(x + begin * n, y + begin * n, (end - begin) * n);
  });
}

Result<Rope> Rope::create(const Options& options, int64_t max_tokens) {
  Rope rope;
  rope.n_dims_ = options.n_dims;
  rope.interleaved_ = options.interleaved;
  const int64_t n_pairs = options.n_dims / 2;
  ASSIGN_OR_RETURN(rope.frequencies_,
                   Buffer::allocate(static_cast<size_t>(n_pairs) * sizeof(double)));
  ASSIGN_OR_RETURN(rope.angles_,
                   Buffer::allocate(static_cast<size_t>(max_tokens * n_pairs * 2) * sizeof(float)));
  for (int64_t i = 0; i < n_pairs; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(options.n_dims);
    double frequency = std::pow(options.base, exponent) * options.position_scale;
    if (!options.factors.empty())
      frequency /= static_cast<double>(options.factors[static_cast<size_t>(i)]);
    rope.frequencies_.as<double>()[i] = frequency;
  }
  return rope;
}

void Rope::set_positions(const int32_t* positions, int64_t n_tokens) {
  const auto* frequencies = frequencies_.as<double>();
  auto* angles = angles_.as<float>();
  for (int64_t t = 0; t < n_tokens; ++t) {
    for (int64_t i = 0; i < n_dims_ / 2; ++i) {
      const double angle = static_cast<double>(positions[t]) * frequencies[i];
      *angles++ = static_cast<float>(std::cos(angle));
      *angles++ = static_cast<float>(std::sin(angle));
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
