#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "base/file.h"
#include "lab/float_source.h"
#include "lab/isometry.h"
#include "lab/maps.h"

namespace nibble::lab {
namespace {

constexpr int64_t kRowMultiple = 256;  // the longest block of a format

ModelConfig widened(const ModelConfig& config) {
  ModelConfig wide = config;
  const int64_t group = config.n_heads / config.n_kv_heads;
  const bool heads_fill_model = config.q_dim() == config.d_model;
  const int64_t step =
      heads_fill_model ? std::lcm(kRowMultiple, config.head_dim * group) : kRowMultiple;
  wide.d_model = (config.d_model / step + 1) * step;
  if (heads_fill_model) {
    wide.n_heads = wide.d_model / config.head_dim;
    wide.n_kv_heads = wide.n_heads / group;
  }
  const double share = static_cast<double>(config.d_model) / static_cast<double>(wide.d_model);
  wide.norm_epsilon = static_cast<float>(static_cast<double>(config.norm_epsilon) * share);
  return wide;
}

GgufMetadata widened_metadata(const FloatSource& source, const ModelConfig& wide) {
  GgufMetadata metadata = source.source().metadata();
  const auto set_number = [&](std::string_view field, int64_t value) {
    metadata.set(fmt::format("{}.{}", wide.architecture, field),
                 GgufValue::of_uint32(static_cast<uint32_t>(value)));
  };
  set_number("embedding_length", wide.d_model);
  set_number("attention.head_count", wide.n_heads);
  set_number("attention.head_count_kv", wide.n_kv_heads);
  metadata.set(fmt::format("{}.attention.layer_norm_rms_epsilon", wide.architecture),
               GgufValue::of_float32(wide.norm_epsilon));
  metadata.set("general.file_type", GgufValue::of_uint32(0));
  return metadata;
}

// One tensor of the output.
struct WideTensor {
  const TensorRule* rule;
  int layer;
};

class Widener {
 public:
  Widener(const FloatSource& source, const ModelConfig& wide, const Isometry& isometry,
          TensorStream& stream, int n_threads)
      : source_(source),
        config_(source.config()),
        wide_(wide),
        isometry_(isometry),
        stream_(stream),
        scratch_(static_cast<size_t>(n_threads)) {}

  Status write(size_t index, const WideTensor& tensor) {
    switch (tensor.rule->role) {
      case TensorRole::attn_norm:
      case TensorRole::ffn_norm:
      case TensorRole::output_norm:
        return write_gain(index);
      case TensorRole::token_embd:
        return write_reader(index, TensorRole::token_embd, -1, {});
      case TensorRole::output:
        return write_reader(index, source_.tied() ? TensorRole::token_embd : TensorRole::output, -1,
                            source_.decode(TensorRole::output_norm));
      case TensorRole::attn_q:
      case TensorRole::attn_k:
      case TensorRole::attn_v:
        return write_reader(index, tensor.rule->role, tensor.layer,
                            source_.decode(TensorRole::attn_norm, tensor.layer));
      case TensorRole::ffn_gate:
      case TensorRole::ffn_up:
        return write_reader(index, tensor.rule->role, tensor.layer,
                            source_.decode(TensorRole::ffn_norm, tensor.layer));
      case TensorRole::attn_output:
      case TensorRole::ffn_down:
        return write_writer(index, *tensor.rule, tensor.layer);
      default:
        return write_copy(index, *tensor.rule, tensor.layer);
    }
  }

 private:
  Status write_gain(size_t index) {
    const auto gain = static_cast<float>(
        std::sqrt(static_cast<double>(config_.d_model) / static_cast<double>(wide_.d_model)));
    return stream_.write(index, [&](int64_t, int64_t, int, std::span<std::byte> out) {
      auto* x = reinterpret_cast<float*>(out.data());
      std::fill(x, x + out.size() / sizeof(float), gain);
    });
  }

  // W diag(gain) transpose(Q), and rows of zeros below; gain empty: all 1.
  Status write_reader(size_t index, TensorRole role, int layer, const std::vector<float>& gain) {
    const GgufTensor& tensor = *source_.find(role, layer);
    const int64_t depth = config_.d_model, width = wide_.d_model;
    const Status status =
        stream_.write(index, [&](int64_t first, int64_t n, int thread, std::span<std::byte> out) {
          auto* x = reinterpret_cast<float*>(out.data());
          const int64_t n_old = std::clamp<int64_t>(tensor.n_rows() - first, 0, n);
          std::fill(x + n_old * width, x + n * width, 0.0f);
          if (n_old == 0) return;
          std::vector<float>& rows = scratch_[static_cast<size_t>(thread)];
          rows.resize(static_cast<size_t>(n_old * depth));
          source_.decode_rows(tensor, first, n_old, rows.data());
          for (size_t i = 0; i < rows.size() && !gain.empty(); ++i) {
            rows[i] *= gain[i % gain.size()];
          }
          multiply(rows.data(), isometry_.q_transposed.data(), n_old, depth, width, x);
        });
    source_.release(tensor);
    return status;
  }

  // Q W, and columns of zeros beside it.
  Status write_writer(size_t index, const TensorRule& rule, int layer) {
    const std::vector<float> matrix = source_.decode(rule.role, layer);
    const int64_t depth = config_.d_model, old_width = dim_size(config_, rule.row_len),
                  width = dim_size(wide_, rule.row_len);
    return stream_.write(index, [&](int64_t first, int64_t n, int, std::span<std::byte> out) {
      auto* x = reinterpret_cast<float*>(out.data());
      std::fill(x, x + n * width, 0.0f);
      for (int64_t r = 0; r < n; ++r) {
        multiply(isometry_.q.data() + (first + r) * depth, matrix.data(), 1, depth, old_width,
                 x + r * width);
      }
    });
  }

  Status write_copy(size_t index, const TensorRule& rule, int layer) {
    const std::vector<float> values = source_.decode(rule.role, layer);
    return stream_.write(index, [&](int64_t, int64_t, int, std::span<std::byte> out) {
      CHECK(out.size() == values.size() * sizeof(float));  // a vector: one row
      std::memcpy(out.data(), values.data(), out.size());
    });
  }

  const FloatSource& source_;
  const ModelConfig& config_;
  const ModelConfig& wide_;
  const Isometry& isometry_;
  TensorStream& stream_;
  std::vector<std::vector<float>> scratch_;  // per thread: decoded rows
};

// The tensors of the input, in its order, and the output matrix that a tied model gets.
std::vector<WideTensor> list_tensors(const FloatSource& source) {
  const std::span<const TensorRule> rules = find_architecture(source.config().architecture)->rules;
  const auto rule_of = [&](TensorRole role) {
    return &*std::find_if(rules.begin(), rules.end(),
                          [&](const TensorRule& rule) { return rule.role == role; });
  };
  std::vector<WideTensor> tensors;
  for (const GgufTensor& tensor : source.source().tensors()) {
    const TensorIdentity identity = identify_tensor(tensor.name);
    tensors.push_back({rule_of(identity.role), identity.layer});
  }
  if (source.tied()) tensors.push_back({rule_of(TensorRole::output), -1});
  return tensors;
}

}  // namespace

Status widen_model(const std::filesystem::path& input, const std::filesystem::path& output,
                   const WidenOptions& options, const JobControl& control) {
  ASSIGN_OR_RETURN(const FloatSource source, FloatSource::open(input, control.pool));
  if (is_same_file(input, output)) {
    return make_error(ErrorKind::kUsage,
                      "[{}] is both input and output; give the output another name",
                      output.string());
  }
  const ModelConfig wide = widened(source.config());
  const std::vector<WideTensor> tensors = list_tensors(source);
  GgufWriter writer(output, widened_metadata(source, wide));
  for (const WideTensor& tensor : tensors) {
    std::vector<int64_t> dims = {dim_size(wide, tensor.rule->row_len)};
    if (tensor.rule->n_rows != Dim::one) dims.push_back(dim_size(wide, tensor.rule->n_rows));
    ASSIGN_OR_RETURN([[maybe_unused]] const size_t index,
                     writer.add_tensor(tensor_name(tensor.rule->role, tensor.layer),
                                       format_of(FormatId::F32), dims));
  }
  RETURN_IF_ERROR(writer.begin());
  const Isometry isometry =
      random_isometry(source.config().d_model, wide.d_model, options.seed, control.pool);
  TensorStream stream(writer, control);
  Widener widener(source, wide, isometry, stream, control.pool.n_threads());
  for (size_t i = 0; i < tensors.size(); ++i) RETURN_IF_ERROR(widener.write(i, tensors[i]));
  return writer.finish();
}

}  // namespace nibble::lab
