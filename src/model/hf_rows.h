// The tensors of a folder as GGUF wants them: which row comes from where, and how its numbers are
// stored. Rows are put together as they are asked for; nothing is kept.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "container/hf_repo.h"
#include "formats/format.h"
#include "model/hf_family.h"

namespace nibble {

// Which row (of a vector: which element) of the tensor in a folder is row `row` of GGUF's, of a
// tensor of n_rows rows in heads of head_dim; and the other way round. Transforms that do not move
// rows give `row`.
int64_t folder_row(HfTransform transform, int64_t row, int64_t n_rows, int64_t head_dim);
int64_t gguf_row(HfTransform transform, int64_t row, int64_t n_rows, int64_t head_dim);

// What multiplies 8-bit weights: one number for blocks of block_rows x block_cols of them.
struct HfScale {
  HfRepo::Place place;
  int64_t block_rows = 0, block_cols = 0;
  int64_t cols = 1;  // numbers per row of blocks
};

// One tensor of GGUF and what it is made of.
struct HfRows {
  const Format* format = nullptr;              // of GGUF's tensor
  std::vector<HfRepo::Place> parts;            // one; of a stack, one per expert
  std::vector<std::optional<HfScale>> scales;  // per part
  HfTransform transform = HfTransform::none;
  int64_t n_rows = 0, row_len = 0;  // of GGUF's tensor; a vector has rows of 1
  int64_t head_dim = 1;
  const std::vector<float>* made = nullptr;  // instead of parts: numbers from the configuration

  // Whether the bytes lie in the file as GGUF has them.
  bool is_plain(const HfRepo& repo) const;
  // Weights [first, first + n) in `format`.
  void read(const HfRepo& repo, int64_t first, int64_t n, std::byte* out) const;

 private:
  // n weights of one row from column `column`, as floats.
  void decode(const HfRepo& repo, int64_t row, int64_t column, int64_t n, float* out) const;
};

}  // namespace nibble
