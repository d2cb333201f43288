// The kernel texts of one ISA, gathered into its table. Included once per isa_<isa>.cpp, behind its
// vector vocabulary, unpack-inl.h and one of the two dots_of files.
#include "kernels/unpack_super-inl.h"

#include "kernels/unpack_codebook-inl.h"

#include "kernels/unpack_iq1-inl.h"

#include "kernels/matmul-inl.h"

#include "kernels/tile-inl.h"

#include "kernels/interleave-inl.h"

#include "kernels/group-inl.h"

#include "kernels/float_matmul-inl.h"

#include "kernels/vector-inl.h"

#include "kernels/attention-inl.h"

template <typename Block>
void set_interleaved(KernelTable& table) {
  if constexpr (IsInterleaved<Block>) {
    constexpr auto kId = static_cast<uint32_t>(Block::kId);
    table.interleave[kId] = interleave<Block>;
    table.interleaved_block_bytes[kId] = GroupLayout<Block>::kBlockBytes / 8;
    table.matmul_interleaved[kId] = matmul_interleaved<Block>;
  }
}

template <typename... Blocks>
void set_matmul(KernelTable& table, BlockList<Blocks...>) {
  ((table.matmul[static_cast<uint32_t>(Blocks::kId)] = matmul_quantized<Blocks>), ...);
  (set_interleaved<Blocks>(table), ...);
}

KernelTable make_table(const char* name) {
  KernelTable table{};
  pack_iq1();
  table.name = name;
  table.matmul[static_cast<uint32_t>(FormatId::F32)] = matmul_float<LoadF32>;
  table.matmul[static_cast<uint32_t>(FormatId::F16)] = matmul_float<LoadF16>;
  table.matmul[static_cast<uint32_t>(FormatId::BF16)] = matmul_float<LoadBF16>;
  set_matmul(table, SmallBlocks{});
  set_matmul(table, SuperBlocks{});
  set_matmul(table, GridBlocks{});
  set_matmul(table, IQ1Blocks{});
  table.matmul_decoded = matmul_decoded;
  table.quantize_column = quantize_column;
  table.rms_norm = rms_norm;
  table.layer_norm = layer_norm;
  table.silu_mul = activate_mul<Silu>;
  table.gelu_tanh_mul = activate_mul<GeluTanh>;
  table.gelu_erf_mul = activate_mul<GeluErf>;
  table.add = add_to;
  table.add_scaled = add_scaled;
  table.scale = scale_by;
  table.softcap = softcap;
  table.softmax = softmax;
  table.to_f16 = to_f16;
  table.from_f16 = from_f16;
  table.store_key = store_key;
  table.store_value = store_value;
  table.attention_segment = attention_segment;
  table.attention_clear = attention_clear;
  table.attention_merge = attention_merge;
  table.attention_finish = attention_finish;
  table.read_probe = read_probe;
  table.int8_probe = int8_probe;
  table.fma_probe = fma_probe;
  return table;
}
