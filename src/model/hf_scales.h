// Scales of 8-bit floating-point weights, as "quantization_config" in config.json describes them.
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "container/hf_repo.h"
#include "model/hf_config.h"
#include "model/hf_rows.h"

namespace nibble {

class HfScales {
 public:
  // No "quantization_config": nothing is scaled. kFailure for kinds of quantization that are not
  // read, by name (GPTQ, AWQ, bitsandbytes ...).
  static Result<HfScales> read(HfConfig& config);

  // The scale that goes with a tensor NAME.weight in an 8-bit type: NAME.weight_scale_inv (one
  // number per block), NAME.weight_scale (one for all, or one per row). Marks it in `used`, which
  // stands beside repo.tensors(). nullopt: the tensor is of another type, or has none. kInvalid:
  // its shape does not fit.
  Result<std::optional<HfScale>> find(const HfRepo& repo, const HfRepo::Place& place,
                                      std::vector<bool>& used) const;

 private:
  bool is_quantized_ = false;
  int64_t block_rows_ = 128, block_cols_ = 128;
};

}  // namespace nibble
