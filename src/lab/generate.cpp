#include "lab/generate.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <span>
#include <tuple>
#include <utility>

#include "base/file.h"
#include "base/random.h"
#include "lab/vocabulary_maker.h"
#include "model/architecture.h"
#include "model/hf_export.h"
#include "model/vocabulary.h"
#include "quantize/recipe.h"

namespace nibble::lab {
namespace {

// ---- plan ------------------------------------------------------------------------------------

// A recipe, or one format for every matrix.
struct TypeChoice {
  const Recipe* recipe = nullptr;
  const Format* format = nullptr;
};

Result<TypeChoice> find_type(std::string_view name) {
  const auto recipe = find_recipe(name);
  if (recipe.ok()) return TypeChoice{*recipe, nullptr};
  const Format* format = find_format(name);
  if (format == nullptr || !format->is_weight || format->encode == nullptr) return recipe.error();
  return TypeChoice{nullptr, format};
}

GgufMetadata shape_metadata(const ModelShape& shape, const TypeChoice& type) {
  GgufMetadata metadata;
  const auto set_number = [&](const char* key, int64_t value) {
    metadata.set(key, GgufValue::of_uint32(static_cast<uint32_t>(value)));
  };
  metadata.set("general.architecture", GgufValue::of_string("llama"));
  metadata.set("general.type", GgufValue::of_string("model"));
  metadata.set("general.name",
               GgufValue::of_string(fmt::format("nibble-lab shape {}", shape.name)));
  set_number("general.quantization_version", 2);
  if (type.recipe != nullptr) set_number("general.file_type", type.recipe->file_type);
  set_number("llama.block_count", shape.n_layers);
  set_number("llama.context_length", shape.n_ctx);
  set_number("llama.embedding_length", shape.d_model);
  set_number("llama.feed_forward_length", shape.d_ff);
  set_number("llama.attention.head_count", shape.n_heads);
  set_number("llama.attention.head_count_kv", shape.n_kv_heads);
  set_number("llama.rope.dimension_count", shape.d_model / shape.n_heads);
  metadata.set("llama.rope.freq_base", GgufValue::of_float32(shape.rope_base));
  metadata.set("llama.attention.layer_norm_rms_epsilon", GgufValue::of_float32(shape.norm_epsilon));
  set_number("llama.vocab_size", shape.vocab_size);
  return metadata;
}

Status add_vocabulary(const GenerateOptions& options, GgufMetadata& metadata) {
  const int64_t size = options.shape.vocab_size;
  if (options.tokenizer.empty()) {
    write_vocabulary(generate_vocabulary(size), metadata);
    return {};
  }
  ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(options.tokenizer));
  const auto fitted = [&]() -> Result<VocabularyData> {
    ASSIGN_OR_RETURN(VocabularyData data, read_vocabulary(file.metadata()));
    return fit_vocabulary(std::move(data), size);
  }();
  if (!fitted.ok()) {
    return make_error(fitted.error().kind, "[{}] {}", options.tokenizer.string(),
                      fitted.error().message);
  }
  write_vocabulary(*fitted, metadata);
  constexpr std::string_view kTemplate = "tokenizer.chat_template";
  if (const GgufValue* value = file.metadata().find(kTemplate)) metadata.set(kTemplate, *value);
  return {};
}

const Format& format_for(const TypeChoice& type, const ModelShape& shape,
                         const TensorIdentity& identity, int64_t row_len) {
  const int n_layers = static_cast<int>(shape.n_layers);
  const int gqa = static_cast<int>(shape.n_heads / shape.n_kv_heads);
  const ModelFacts facts = {.n_layers = n_layers,
                            .gqa = gqa,
                            .tied_embeddings = shape.tied,
                            .is_70b = n_layers == 80 && gqa > 1,
                            .architecture = "llama"};
  const RecipeTensor tensor = {
      .role = identity.role, .index = std::max(identity.layer, 0), .count = n_layers};
  const FormatId wanted =
      type.recipe != nullptr ? choose_format(*type.recipe, facts, tensor) : type.format->id;
  return format_of(fit_to_row(wanted, row_len));
}

// The tensors in the order of files: embedding, layers, final norm, output.
std::vector<GeneratedTensor> list_tensors(const ModelShape& shape, const ModelConfig& config,
                                          const TypeChoice& type) {
  std::vector<GeneratedTensor> tensors;
  const auto add = [&](const TensorRule& rule, int layer) {
    GeneratedTensor tensor;
    tensor.name = tensor_name(rule.role, layer);
    tensor.identity = identify_tensor(tensor.name);
    tensor.dims = {dim_size(config, rule.row_len)};
    tensor.format = &format_of(FormatId::F32);
    if (rule.n_rows != Dim::one) {
      tensor.dims.push_back(dim_size(config, rule.n_rows));
      tensor.format = &format_for(type, shape, tensor.identity, tensor.dims[0]);
    }
    tensors.push_back(std::move(tensor));
  };
  const std::span<const TensorRule> rules = find_architecture(config.architecture)->rules;
  const auto add_whole = [&](TensorRole role) {
    for (const TensorRule& rule : rules) {
      if (rule.role == role) add(rule, -1);
    }
  };
  add_whole(TensorRole::token_embd);
  for (int layer = 0; layer < static_cast<int>(config.n_layers); ++layer) {
    for (const TensorRule& rule : rules) {
      if (rule.per_layer && rule.required() && rule.wanted(config)) add(rule, layer);
    }
  }
  add_whole(TensorRole::output_norm);
  if (!shape.tied) add_whole(TensorRole::output);
  return tensors;
}

Result<GgufWriter> make_writer(const std::filesystem::path& path, const GeneratePlan& plan) {
  GgufWriter writer(path, plan.metadata);
  for (const GeneratedTensor& tensor : plan.tensors) {
    ASSIGN_OR_RETURN([[maybe_unused]] const size_t index,
                     writer.add_tensor(tensor.name, *tensor.format, tensor.dims));
  }
  return writer;
}

// ---- weights ---------------------------------------------------------------------------------

constexpr int64_t kPoolWeights = int64_t{1} << 20;
// Seeds of pools are those of "tensors" that no model has.
constexpr uint64_t kPoolSeed = uint64_t{1} << 32;

// Rows are seeded one by one, so that no cut between chunks can be seen in them.
void gaussian_row(uint64_t seed, double deviation, std::span<float> row) {
  Random random(seed);
  for (float& value : row) value = static_cast<float>(deviation * random.normal());
}

double deviation_of(const GeneratedTensor& tensor, const ModelShape& shape) {
  const TensorRole role = tensor.identity.role;
  const bool ends_branch = role == TensorRole::attn_output || role == TensorRole::ffn_down;
  const double branches = ends_branch ? 2.0 * static_cast<double>(shape.n_layers) : 1.0;
  return 1.0 / std::sqrt(static_cast<double>(tensor.dims[0]) * branches);
}

// Encoded weights to copy from, in units of `unit_bytes`.
struct BlockPool {
  std::vector<std::byte> bytes;
  size_t unit_bytes = 0;
  uint64_t n_units = 0;
};

class Generator {
 public:
  Generator(const GenerateOptions& options, const GeneratePlan& plan, TensorStream& stream,
            ThreadPool& pool)
      : options_(options),
        plan_(plan),
        stream_(stream),
        pool_(pool),
        scratch_(static_cast<size_t>(pool.n_threads())) {}

  Status tensor(size_t index) {
    const GeneratedTensor& tensor = plan_.tensors[index];
    const Format& format = *tensor.format;
    const int64_t row_len = tensor.dims[0];
    const size_t row_bytes = format.size_bytes(row_len);
    if (tensor.dims.size() == 1) {
      return stream_.write(index, [](int64_t, int64_t, int, std::span<std::byte> out) {
        auto* gains = reinterpret_cast<float*>(out.data());
        std::fill(gains, gains + out.size() / sizeof(float), 1.0f);
      });
    }
    const double deviation = deviation_of(tensor, options_.shape);
    if (format.block_len == 1 || plan_.n_params <= kExactWeights) {
      return stream_.write(
          index, [&](int64_t first, int64_t n, int thread, std::span<std::byte> out) {
            for (int64_t i = 0; i < n; ++i) {
              const auto row = static_cast<uint64_t>(first + i);
              encode_row(format, derive_seed(options_.seed, index, row), deviation, row_len, thread,
                         out.subspan(static_cast<size_t>(i) * row_bytes, row_bytes));
            }
          });
    }
    const BlockPool& blocks = pool_for(format, row_len, deviation);
    return stream_.write(index, [&](int64_t first, int64_t n, int, std::span<std::byte> out) {
      for (int64_t i = 0; i < n; ++i) {
        Random random(derive_seed(options_.seed, index, static_cast<uint64_t>(first + i)));
        std::byte* row = out.data() + static_cast<size_t>(i) * row_bytes;
        for (size_t at = 0; at < row_bytes; at += blocks.unit_bytes) {
          const uint64_t unit = random.below(blocks.n_units);
          std::memcpy(row + at, blocks.bytes.data() + unit * blocks.unit_bytes, blocks.unit_bytes);
        }
      }
    });
  }

 private:
  void encode_row(const Format& format, uint64_t seed, double deviation, int64_t row_len,
                  int thread, std::span<std::byte> out) {
    std::vector<float>& row = scratch_[static_cast<size_t>(thread)];
    row.resize(static_cast<size_t>(row_len));
    gaussian_row(seed, deviation, row);
    format.encode(row.data(), nullptr, out.data(), row_len);
  }

  const BlockPool& pool_for(const Format& format, int64_t row_len, double deviation) {
    const auto [found, is_new] = pools_.try_emplace({format.id, row_len, deviation});
    BlockPool& blocks = found->second;
    if (!is_new) return blocks;
    const int64_t n_rows = (kPoolWeights + row_len - 1) / row_len;
    const size_t row_bytes = format.size_bytes(row_len);
    blocks.bytes.resize(static_cast<size_t>(n_rows) * row_bytes);
    blocks.unit_bytes = format.size_bytes(row_len % 256 == 0 ? 256 : format.block_len);
    blocks.n_units = blocks.bytes.size() / blocks.unit_bytes;
    const uint64_t key =
        kPoolSeed + (static_cast<uint64_t>(format.id) << 24) + static_cast<uint64_t>(row_len);
    pool_.parallel_for(n_rows, 8, [&](int64_t begin, int64_t end, int thread) {
      for (int64_t i = begin; i < end; ++i) {
        encode_row(format, derive_seed(options_.seed, key, static_cast<uint64_t>(i)), deviation,
                   row_len, thread,
                   std::span(blocks.bytes).subspan(static_cast<size_t>(i) * row_bytes, row_bytes));
      }
    });
    return blocks;
  }

  const GenerateOptions& options_;
  const GeneratePlan& plan_;
  TensorStream& stream_;
  ThreadPool& pool_;
  std::vector<std::vector<float>> scratch_;  // per thread: a row
  std::map<std::tuple<FormatId, int64_t, double>, BlockPool> pools_;
};

// The model before it is written anywhere: rows are made when they are asked for.
class GeneratedSource final : public ModelSource {
 public:
  GeneratedSource(const GenerateOptions& options, const GeneratePlan& plan)
      : options_(options), plan_(plan), path_("shape") {
    metadata_ = plan.metadata;
    for (const GeneratedTensor& generated : plan.tensors) {
      GgufTensor& tensor = tensors_.emplace_back();
      tensor.name = generated.name;
      tensor.format = generated.format;
      tensor.n_dims = static_cast<int>(generated.dims.size());
      std::copy(generated.dims.begin(), generated.dims.end(), tensor.dims.begin());
      tensor.size_bytes = tensor.format->size_bytes(tensor.n_elements());
    }
    CHECK(!index_names());
  }

  const std::filesystem::path& path() const override { return path_; }
  std::vector<std::filesystem::path> paths() const override { return {}; }
  uint64_t file_bytes() const override { return plan_.tensor_bytes; }
  std::span<const std::byte> view(const GgufTensor&) const override { return {}; }
  void will_need(const GgufTensor&, uint64_t, uint64_t) const override {}
  void dont_need(const GgufTensor&, uint64_t, uint64_t) const override {}
  Status check_unchanged(const GgufTensor&) const override { return {}; }
  Status check_unchanged() const override { return {}; }

  // Whole rows of a matrix, as Generator writes them into a file.
  void read(const GgufTensor& tensor, int64_t first, int64_t n, std::byte* out) const override {
    const auto index = static_cast<size_t>(find_tensor(tensor.name) - tensors_.data());
    const GeneratedTensor& generated = plan_.tensors[index];
    const int64_t row_len = tensor.row_len();
    std::vector<float> row(static_cast<size_t>(tensor.n_dims == 1 ? n : row_len), 1.0f);
    if (tensor.n_dims == 1) {
      tensor.format->encode(row.data(), nullptr, out, n);
      return;
    }
    CHECK(first % row_len == 0 && n % row_len == 0);
    const double deviation = deviation_of(generated, options_.shape);
    for (int64_t i = 0; i < n / row_len; ++i) {
      const auto number = static_cast<uint64_t>(first / row_len + i);
      gaussian_row(derive_seed(options_.seed, index, number), deviation, row);
      tensor.format->encode(row.data(), nullptr, out + tensor.format->size_bytes(i * row_len),
                            row_len);
    }
  }

 private:
  const GenerateOptions& options_;
  const GeneratePlan& plan_;
  std::filesystem::path path_;
};

}  // namespace

Result<GeneratePlan> plan_model(const GenerateOptions& options) {
  ASSIGN_OR_RETURN(const TypeChoice type, find_type(options.type));
  GeneratePlan plan;
  plan.metadata = shape_metadata(options.shape, type);
  ConfigReader reader(plan.metadata, "llama", fmt::format("shape {}", options.shape.name));
  ASSIGN_OR_RETURN(ModelConfig config, find_architecture("llama")->read_config(reader));
  config.architecture = "llama";
  config.vocab_size = options.shape.vocab_size;
  RETURN_IF_ERROR(add_vocabulary(options, plan.metadata));
  plan.tensors = list_tensors(options.shape, config, type);
  ASSIGN_OR_RETURN(const GgufWriter layout, make_writer({}, plan));
  for (const GgufTensor& tensor : layout.tensors()) {
    plan.n_params += static_cast<uint64_t>(tensor.n_elements());
    plan.tensor_bytes += tensor.size_bytes;
  }
  plan.file_bytes = layout.file_bytes();
  return plan;
}

Result<GeneratePlan> generate_model(const GenerateOptions& options,
                                    const std::filesystem::path& output,
                                    const JobControl& control) {
  if (!options.tokenizer.empty() && is_same_file(options.tokenizer, output)) {
    return make_error(ErrorKind::kUsage,
                      "[{}] is both the tokenizer's file and the output; give the output another "
                      "name",
                      output.string());
  }
  ASSIGN_OR_RETURN(GeneratePlan plan, plan_model(options));
  ASSIGN_OR_RETURN(GgufWriter writer, make_writer(output, plan));
  RETURN_IF_ERROR(writer.begin());
  TensorStream stream(writer, control);
  Generator generator(options, plan, stream, control.pool);
  for (size_t i = 0; i < plan.tensors.size(); ++i) RETURN_IF_ERROR(generator.tensor(i));
  RETURN_IF_ERROR(writer.finish());
  return plan;
}

Result<GeneratePlan> generate_folder(const GenerateOptions& options,
                                     const std::filesystem::path& folder,
                                     const JobControl& control) {
  ASSIGN_OR_RETURN(GeneratePlan plan, plan_model(options));
  for (const GeneratedTensor& tensor : plan.tensors) {
    if (tensor.format->block_len == 1) continue;
    return make_error(ErrorKind::kUsage, "[--type] {}: a folder holds F32, F16 or BF16",
                      options.type);
  }
  const GeneratedSource source(options, plan);
  ASSIGN_OR_RETURN(
      [[maybe_unused]] const ExportReport report,
      export_folder(source, folder, {}, control.pool, control.progress, control.cancelled));
  return plan;
}

}  // namespace nibble::lab
