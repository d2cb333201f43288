// Two maps of a Llama model that leave its function as it is: GGUF in any type in, F32 GGUF out.
//
// Models published in few bits sit on the grid of their type, and every quantizer that meets this
// grid again looks better than it is. Both maps take them off it.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/result.h"
#include "lab/tensor_stream.h"

namespace nibble::lab {

struct RescaleOptions {
  double sigma = 0.3;  // of the logarithm of the factors
  uint64_t seed = 1;
};

// Moves random factors exp(sigma * normal) between weights that are multiplied with each other:
// from each norm gain to the columns of the matrices behind it, from each row of v to the columns
// of the output matrix that read it (one factor per channel of a KV head, shared by the query heads
// of its group), from each row of up to the column of down that reads it. The embedding stays, and
// with it the final norm when the embedding is the output matrix, too.
Status rescale_model(const std::filesystem::path& input, const std::filesystem::path& output,
                     const RescaleOptions& options, const JobControl& control);

struct WidenOptions {
  uint64_t seed = 1;
};

// Embeds the residual stream into more dimensions, so that rows become multiples of 256 and
// K-quants fit. With d_model = d, the wide one w, and a random isometry Q [w, d] (columns
// orthonormal), every state x becomes Q x:
//  * matrices that read the stream: W diag(gain) transpose(Q); that write it: Q W; embedding rows:
//    Q e; output matrix: its own or the embedding's rows, with the final gain folded in;
//  * |Q x| = |x|, so the mean square over w dimensions is d/w of that over d. With epsilon * d/w,
//    the norm is sqrt(d/w) of the old one, and a gain of sqrt(d/w) everywhere makes up for it.
// Where d_model is what the heads make up, whole groups of heads with zero weights are added: their
// values are 0. w is the next larger number that is a multiple of 256 and of whole groups: 576 with
// 9 heads and 3 KV heads becomes 768 with 12 and 4. d_ff stays.
Status widen_model(const std::filesystem::path& input, const std::filesystem::path& output,
                   const WidenOptions& options, const JobControl& control);

}  // namespace nibble::lab
