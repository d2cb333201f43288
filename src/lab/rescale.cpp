#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/random.h"
#include "lab/float_source.h"
#include "lab/maps.h"

namespace nibble::lab {
namespace {

// Which products the factors move in; one independent set for each and each layer.
enum class Site : uint64_t { attn_norm, value, ffn_norm, up, output_norm };

// out[r][c] = in[r][c] * rows[r] * columns[c]; empty: all 1.
struct Scaling {
  std::vector<double> rows, columns;
};

class Factors {
 public:
  Factors(const RescaleOptions& options, const ModelConfig& config, bool tied)
      : options_(options), config_(config), tied_(tied) {}

  Scaling scaling(const TensorIdentity& id) const {
    const int64_t d_model = config_.d_model;
    switch (id.role) {
      case TensorRole::attn_norm:
        return {{}, factors(Site::attn_norm, id.layer, d_model)};
      case TensorRole::attn_q:
      case TensorRole::attn_k:
        return {{}, inverse(factors(Site::attn_norm, id.layer, d_model))};
      case TensorRole::attn_v:
        return {factors(Site::value, id.layer, config_.kv_dim()),
                inverse(factors(Site::attn_norm, id.layer, d_model))};
      case TensorRole::attn_output:
        return {{}, inverse(per_query_channel(factors(Site::value, id.layer, config_.kv_dim())))};
      case TensorRole::ffn_norm:
        return {{}, factors(Site::ffn_norm, id.layer, d_model)};
      case TensorRole::ffn_gate:
        return {{}, inverse(factors(Site::ffn_norm, id.layer, d_model))};
      case TensorRole::ffn_up:
        return {factors(Site::up, id.layer, config_.d_ff),
                inverse(factors(Site::ffn_norm, id.layer, d_model))};
      case TensorRole::ffn_down:
        return {{}, inverse(factors(Site::up, id.layer, config_.d_ff))};
      case TensorRole::output_norm:
        if (tied_) return {};
        return {{}, factors(Site::output_norm, 0, d_model)};
      case TensorRole::output:
        return {{}, inverse(factors(Site::output_norm, 0, d_model))};
      default:
        return {};
    }
  }

 private:
  std::vector<double> factors(Site site, int layer, int64_t n) const {
    Random random(
        derive_seed(options_.seed, static_cast<uint64_t>(site), static_cast<uint64_t>(layer)));
    std::vector<double> values(static_cast<size_t>(n));
    for (double& value : values) value = std::exp(options_.sigma * random.normal());
    return values;
  }

  static std::vector<double> inverse(std::vector<double> values) {
    for (double& value : values) value = 1.0 / value;
    return values;
  }

  // [kv_dim] -> [q_dim]: query head h reads KV head h / group.
  std::vector<double> per_query_channel(const std::vector<double>& per_kv_channel) const {
    const int64_t group = config_.n_heads / config_.n_kv_heads;
    std::vector<double> values;
    for (int64_t i = 0; i < config_.q_dim(); ++i) {
      const int64_t kv_head = i / config_.head_dim / group;
      values.push_back(
          per_kv_channel[static_cast<size_t>(kv_head * config_.head_dim + i % config_.head_dim)]);
    }
    return values;
  }

  const RescaleOptions& options_;
  const ModelConfig& config_;
  bool tied_;
};

void apply(const Scaling& scaling, int64_t first_row, int64_t n_rows, int64_t row_len, float* x) {
  if (scaling.rows.empty() && scaling.columns.empty()) return;
  for (int64_t r = 0; r < n_rows; ++r) {
    const double row =
        scaling.rows.empty() ? 1.0 : scaling.rows[static_cast<size_t>(first_row + r)];
    float* values = x + r * row_len;
    for (int64_t c = 0; c < row_len; ++c) {
      const double column = scaling.columns.empty() ? 1.0 : scaling.columns[static_cast<size_t>(c)];
      values[c] = static_cast<float>(static_cast<double>(values[c]) * row * column);
    }
  }
}

}  // namespace

Status rescale_model(const std::filesystem::path& input, const std::filesystem::path& output,
                     const RescaleOptions& options, const JobControl& control) {
  ASSIGN_OR_RETURN(const FloatSource source, FloatSource::open(input, control.pool));
  if (is_same_file(input, output)) {
    return make_error(ErrorKind::kUsage,
                      "[{}] is both input and output; give the output another name",
                      output.string());
  }
  const std::vector<GgufTensor>& tensors = source.source().tensors();
  GgufMetadata metadata = source.source().metadata();
  metadata.set("general.file_type", GgufValue::of_uint32(0));
  GgufWriter writer(output, std::move(metadata));
  for (const GgufTensor& tensor : tensors) {
    ASSIGN_OR_RETURN(
        [[maybe_unused]] const size_t index,
        writer.add_tensor(tensor.name, format_of(FormatId::F32),
                          std::span(tensor.dims.data(), static_cast<size_t>(tensor.n_dims))));
  }
  RETURN_IF_ERROR(writer.begin());
  TensorStream stream(writer, control);
  const Factors factors(options, source.config(), source.tied());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const GgufTensor& tensor = tensors[i];
    const Scaling scaling = factors.scaling(identify_tensor(tensor.name));
    RETURN_IF_ERROR(stream.write(i, [&](int64_t first, int64_t n, int, std::span<std::byte> out) {
      auto* x = reinterpret_cast<float*>(out.data());
      source.decode_rows(tensor, first, n, x);
      apply(scaling, first, n, tensor.row_len(), x);
    }));
    source.release(tensor);
  }
  return writer.finish();
}

}  // namespace nibble::lab
