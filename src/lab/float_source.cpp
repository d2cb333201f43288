#include "lab/float_source.h"

#include <algorithm>

#include "base/check.h"
#include "container/printable.h"

namespace nibble::lab {
namespace {

bool is_used(const Architecture& architecture, const GgufTensor& tensor) {
  const TensorIdentity identity = identify_tensor(tensor.name);
  return std::any_of(
      architecture.rules.begin(), architecture.rules.end(), [&](const TensorRule& rule) {
        return rule.role == identity.role && rule.per_layer == (identity.layer >= 0) &&
               tensor_name(rule.role, identity.layer) == tensor.name;
      });
}

}  // namespace

Result<FloatSource> FloatSource::open(const std::filesystem::path& path, ThreadPool& pool) {
  ASSIGN_OR_RETURN(auto model, Model::load(path, pool));
  if (model->config().architecture != "llama") {
    return make_error(ErrorKind::kFailure, "[{}] has the architecture {}; this map knows llama",
                      path.string(), model->config().architecture);
  }
  const Architecture& architecture = *find_architecture(model->config().architecture);
  for (const GgufTensor& tensor : model->source().tensors()) {
    if (is_used(architecture, tensor)) continue;
    return make_error(ErrorKind::kFailure,
                      "[{}] has the tensor {}, which is no part of a plain Llama; this map would "
                      "not know what to do with it",
                      path.string(), printable(tensor.name));
  }
  return FloatSource(std::move(model));
}

const GgufTensor* FloatSource::find(TensorRole role, int layer) const {
  return source().find_tensor(tensor_name(role, layer));
}

void FloatSource::decode_rows(const GgufTensor& tensor, int64_t first, int64_t n,
                              float* out) const {
  const Format& format = *tensor.format;
  const int64_t begin = first * tensor.row_len(), n_weights = n * tensor.row_len();
  std::vector<std::byte> bytes(format.size_bytes(n_weights));
  source().read(tensor, begin, n_weights, bytes.data());
  format.decode(bytes.data(), out, n_weights);
}

std::vector<float> FloatSource::decode(TensorRole role, int layer) const {
  const GgufTensor* tensor = find(role, layer);
  CHECK(tensor != nullptr);
  std::vector<float> values(static_cast<size_t>(tensor->n_elements()));
  decode_rows(*tensor, 0, tensor->n_rows(), values.data());
  return values;
}

}  // namespace nibble::lab
