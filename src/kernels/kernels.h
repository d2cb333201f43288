// The kernels of one instruction set, as a table of function pointers chosen once at start.
//
// One order of summation, on every path (docs/ARCHITECTURE.md):
//  * quantized weights: the integer sum under one float scale of weights and activations (a block;
//  its slices of 32 where it is 64 or 128 wide; the 16 of NVFP4) is exact; then, in ascending
//  order,
//    acc = fma(float(isum), d_weight * d_activation, acc), and for formats with a minimum a second
//    fma;
//  * float weights: 8 k-lanes (element k goes to lane k mod 8), each lane one fma chain in
//  ascending k,
//    lanes added as ((0+4)+(2+6)) + ((1+5)+(3+7));
//  * attention: segments of 128 absolute positions, merged in ascending order.
// So a result never depends on how rows, columns or positions were dealt out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/format.h"

namespace nibble {

inline constexpr int64_t kRowGroup = 8;            // rows computed together, one per lane
inline constexpr int64_t kSegmentPositions = 128;  // attention segment = KV block
inline constexpr int64_t kColumnAlignment = 64;

// One column (token) of activations as a kernel reads it. Offsets in bytes from the column's start.
//   kFloat : float x[n]
//   kQ8_32 : int8 codes[n] | float scale[n/32]  | int16 sum[n/32]  (sums of 32 codes)
//   kQ8_256: int8 codes[n] | float scale[n/256] | int16 sum[n/16]  (sums of 16 codes)
struct ColumnLayout {
  int64_t scales_offset = 0;
  int64_t sums_offset = 0;
  int64_t column_bytes = 0;
};

constexpr ColumnLayout column_layout(Activation kind, int64_t n) {
  ColumnLayout layout;
  if (kind == Activation::kFloat) {
    layout.column_bytes = n * 4;
  } else {
    const int64_t n_scales = kind == Activation::kQ8_32 ? n / 32 : n / 256;
    const int64_t n_sums = kind == Activation::kQ8_32 ? n / 32 : n / 16;
    layout.scales_offset = n;
    layout.sums_offset = n + n_scales * 4;
    layout.column_bytes = layout.sums_offset + n_sums * 2;
  }
  layout.column_bytes =
      (layout.column_bytes + kColumnAlignment - 1) / kColumnAlignment * kColumnAlignment;
  return layout;
}

// out[c * out_stride + r] = dot(weights row r, column c) for r < n_rows, c < n_columns.
struct MatmulArgs {
  const std::byte* weights = nullptr;  // rows of the format, row_bytes apart
  int64_t row_bytes = 0;
  int64_t row_len = 0;  // weights per row, a multiple of the block
  int64_t n_rows = 0;
  const std::byte* columns =
      nullptr;  // in the layout of the format's activation, column_bytes apart
  int64_t column_bytes = 0;
  int64_t n_columns = 0;
  float* out = nullptr;
  int64_t out_stride = 0;
  std::byte* scratch = nullptr;  // scratch_bytes(row_len), 64-byte aligned, one per thread
};
using MatmulFn = void (*)(const MatmulArgs&);
using DecodeFn = void (*)(const void* blocks, float* x, int64_t n);

// How keys and values of one KV head in one segment lie, in numbers of the cache's type: eight
// lanes of a vector stand together, so that a score needs no sum over lanes.
//
//   keys     [128 / 8][head_dim][8 positions]
//   values   [head_dim / 8][128][8 dimensions]
//
// kCodes8 (as Q8_0: 8-bit codes, an f16 scale per 32 numbers of a position) has the codes in that
// order and behind them the scales:
//
//   of keys  [128 / 8][head_dim / 32][8 positions]      of values  [head_dim / 32][128]
enum class KvType { kFloat32, kFloat16, kCodes8 };

constexpr int64_t kv_segment_bytes(KvType type, int64_t head_dim) {
  const int64_t n = kSegmentPositions * head_dim;
  return type == KvType::kFloat32 ? 4 * n : type == KvType::kFloat16 ? 2 * n : n / 32 * 34;
}

// Attention of one KV head over one segment, for queries that share it.
struct AttentionArgs {
  const float* queries = nullptr;  // [n_queries, head_dim], query_stride floats apart
  int64_t query_stride = 0;
  int64_t n_queries = 0;
  // Query i sees the positions [first_visible[i], n_visible[i]) of this segment, 0..128; none when
  // that is empty. first_visible null: from 0.
  const int32_t* n_visible = nullptr;
  const int32_t* first_visible = nullptr;
  int64_t head_dim = 0;  // a multiple of 8, with kCodes8 of 32
  KvType key_type = KvType::kFloat32, value_type = KvType::kFloat32;
  const std::byte* keys = nullptr;
  const std::byte* values = nullptr;
  float scale = 1.0f;
  float softcap = 0.0f;      // scores become softcap * tanh(score * scale / softcap); 0: no cap
  float* state = nullptr;    // out: attention_state_floats(n_queries, head_dim)
  float* scratch = nullptr;  // attention_scratch_floats(head_dim)
};

inline constexpr int64_t kAttentionBlock = 24;  // queries whose scores are held at a time

// State of queries over some positions: [0] maxima of the scores, then the sums of exp(score -
// maximum), each [n_queries rounded up to 8], then [n_queries, head_dim] values weighted by it.
constexpr int64_t attention_state_floats(int64_t n_queries, int64_t head_dim) {
  return (n_queries + 7) / 8 * 16 + n_queries * head_dim;
}
constexpr int64_t attention_scratch_floats(int64_t head_dim) {
  return (2 * head_dim + head_dim / 32 + kAttentionBlock) * kSegmentPositions;
}

struct KernelTable {
  const char* name;  // as NIBBLE_ISA spells it

  // By wire id: quantized (or float) activations as Format::activation says. Null for a format
  // without a fast kernel: ops/matmul then takes matmul_decoded.
  MatmulFn matmul[64];
  // The same over rows interleaved by eight, args.weights at the first row of a group; and one
  // group out of n_valid (1 to 8) rows, row_bytes apart, missing rows repeat the last. Same
  // results, bit for bit. Null for formats that are not kept so.
  MatmulFn matmul_interleaved[64];
  void (*interleave[64])(const std::byte* rows, int64_t row_bytes, int64_t n_valid, int64_t row_len,
                         std::byte* out);
  // Bytes that a block of one row takes in a group: those of the block in the file, or more where
  // codebook indices became codes.
  int64_t interleaved_block_bytes[64];
  // Any format, float activations: decodes rows into scratch, then the float dot. The
  // float-activation mode, and the way a format runs before it has a fast kernel.
  void (*matmul_decoded)(const MatmulArgs& args, DecodeFn decode);

  // x[n] -> one column. kind != kFloat; codes within +-127, ties to even.
  void (*quantize_column)(const float* x, int64_t n, Activation kind, std::byte* column);

  // out = x / sqrt(mean(x^2) + epsilon) * gain; n a multiple of 8. out may be x.
  void (*rms_norm)(const float* x, const float* gain, float epsilon, int64_t n, float* out);
  // out = (x - mean) / sqrt(variance + epsilon) * gain + bias; bias null: none. out may be x.
  void (*layer_norm)(const float* x, const float* gain, const float* bias, float epsilon, int64_t n,
                     float* out);
  // out = f(gate) * up, f(gate) alone when up is null. out may be gate. silu: x * sigmoid(x);
  // gelu_tanh: the approximation by tanh (Hendrycks and Gimpel 2016); gelu_erf: by the error
  // function, to 2e-7 of the larger of 1 and x.
  void (*silu_mul)(const float* gate, const float* up, int64_t n, float* out);
  void (*gelu_tanh_mul)(const float* gate, const float* up, int64_t n, float* out);
  void (*gelu_erf_mul)(const float* gate, const float* up, int64_t n, float* out);
  void (*add)(float* x, const float* y, int64_t n);                       // x += y
  void (*add_scaled)(float* x, const float* y, float factor, int64_t n);  // x += factor * y
  void (*scale)(float* x, float factor, int64_t n);                       // x *= factor
  void (*softcap)(float* x, float cap, int64_t n);                        // x = cap * tanh(x / cap)
  void (*softmax)(float* x, int64_t n);                                   // in place; n > 0
  void (*to_f16)(const float* x, uint16_t* out, int64_t n);
  void (*from_f16)(const uint16_t* x, float* out, int64_t n);

  // By wire id: the search of Format::encode with more lanes, the same bytes out. Null where the
  // format's own encoder is all there is: kernels::encoder() chooses.
  EncodeFn encode[64];

  // One position's key or value [head_dim] into its segment.
  void (*store_key)(KvType type, const float* key, int64_t head_dim, int64_t position,
                    std::byte* segment);
  void (*store_value)(KvType type, const float* value, int64_t head_dim, int64_t position,
                      std::byte* segment);
  // The state of the queries over one segment alone. A state over several is made of theirs:
  // attention_clear, then attention_merge of each in ascending order, always in this way, so that
  // the bits do not depend on who computed which segment.
  void (*attention_segment)(const AttentionArgs& args);
  void (*attention_clear)(float* state, int64_t n_queries, int64_t head_dim);
  void (*attention_merge)(float* state, const float* segment, int64_t n_queries, int64_t head_dim);
  // out = values / sum of query i of n_queries
  void (*attention_finish)(const float* state, int64_t n_queries, int64_t i, int64_t head_dim,
                           float* out);

  // Yardsticks for benchmarks. read_probe: reads n bytes (multiple of 1024) once, returns their
  // xor. int8_probe: n rounds of kInt8ProbeOps integer operations on registers and L1, returns a
  // checksum. fma_probe: likewise kFmaProbeOps float operations on registers.
  uint64_t (*read_probe)(const void* data, int64_t n);
  uint64_t (*int8_probe)(int64_t rounds);
  float (*fma_probe)(int64_t rounds);
};

inline constexpr int64_t kInt8ProbeOps = 16 * 32 * 2;  // multiply and add of 16 vectors of 32 bytes
inline constexpr int kFmaChains = 24;                  // sums, each 8 lanes
inline constexpr int64_t kFmaProbeOps = kFmaChains * 8 * 2;

inline constexpr int64_t kTileRows = 32;  // rows of the tiles that are multiplied at once, at most
inline constexpr int64_t kScratchPerElement = 64;  // bytes of a thread's scratch: 16 float rows
// Floats are multiplied as kTileRows rows with at most so many columns, so deep at a time.
inline constexpr int64_t kFloatDepth = 512, kFloatColumns = 126;

namespace kernels {

// Bytes of scratch that one thread needs for rows of this length.
constexpr int64_t scratch_bytes(int64_t row_len) {
  // Largest user: 16 decoded float rows, then a panel of eight and all sums, 8 lanes each.
  return kScratchPerElement * row_len + 8 * kFloatDepth * 4 + kTileRows * kFloatColumns * 8 * 4 +
         4096;
}

// The table in use: the best the machine has, or the one NIBBLE_ISA names. Never null: an unknown
// or unsupported name gives the best table and is reported by isa_error().
const KernelTable& active();
// Empty, or the sentence that says why NIBBLE_ISA could not be obeyed; programs refuse to start on
// it.
const char* isa_error();
// By name, or null when the machine or the build does not have it.
const KernelTable* find(const char* name);

// The encoder of a format that can be written, as fast as this table has it.
inline EncodeFn encoder(const KernelTable& table, const Format& format) {
  const EncodeFn fast = table.encode[static_cast<uint32_t>(format.id)];
  return fast != nullptr ? fast : format.encode;
}

}  // namespace kernels
}  // namespace nibble
