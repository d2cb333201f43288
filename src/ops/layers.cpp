#include "ops/layers.h"

namespace nibble {

void norm_rows(Workspace& workspace, NormKind kind, const float* x, const Norm& norm, float epsilon,
               int64_t n_tokens, int64_t n, float* out) {
  const KernelTable& kernels = workspace.kernels();
  workspace.pool().parallel_for(n_tokens, 8, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      if (kind == NormKind::rms) {
        kernels.rms_norm(x + t * n, norm.gain, epsilon, n, out + t * n);
      } else {
        kernels.layer_norm(x + t * n, norm.gain, norm.bias, epsilon, n, out + t * n);
      }
    }
  });
}

void activate_rows(Workspace& workspace, Nonlinearity kind, float* gate, const float* up,
                   int64_t n_tokens, int64_t n) {
  const KernelTable& kernels = workspace.kernels();
  const auto function = kind == Nonlinearity::silu        ? kernels.silu_mul
                        : kind == Nonlinearity::gelu_tanh ? kernels.gelu_tanh_mul
                                                          : kernels.gelu_erf_mul;
  workspace.pool().parallel_for(n_tokens, 4, [&](int64_t begin, int64_t end, int) {
    const int64_t first = begin * n;
    function(gate + first, up != nullptr ? up + first : nullptr, (end - begin) * n, gate + first);
  });
}

void add_rows(Workspace& workspace, float* x, const float* y, int64_t n_tokens, int64_t n) {
  workspace.pool().parallel_for(n_tokens, 16, [&](int64_t begin, int64_t end, int) {
    workspace.kernels().add(x + begin * n, y + begin * n, (end - begin) * n);
  });
}

void softcap_rows(Workspace& workspace, float* x, float cap, int64_t n_tokens, int64_t n) {
  workspace.pool().parallel_for(n_tokens, 1, [&](int64_t begin, int64_t end, int) {
    workspace.kernels().softcap(x + begin * n, cap, (end - begin) * n);
  });
}

}  // namespace nibble
