#include "model/hf_export.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "base/check.h"
#include "container/printable.h"
#include "container/safetensors_writer.h"
#include "model/config.h"
#include "model/hf_card.h"
#include "model/hf_family.h"
#include "model/hf_rows.h"
#include "model/hf_tokenizer_files.h"

namespace nibble {
namespace {

using nlohmann::json;

constexpr int64_t kChunkWeights = 128 * 1024;

std::string with_number(std::string_view pattern, std::string_view mark, int64_t number) {
  std::string name(pattern);
  if (const size_t at = name.find(mark); at != std::string::npos) {
    name.replace(at, mark.size(), std::to_string(number));
  }
  return name;
}

// One tensor of the folder, from one of GGUF's.
struct Job {
  const GgufTensor* from = nullptr;
  const Format* format = nullptr;  // that is written
  HfTransform transform = HfTransform::none;
  int64_t first_row = 0;            // of a stack: where this expert begins
  int64_t n_rows = 0, row_len = 0;  // of the folder's tensor; a vector has rows of 1
  int64_t head_dim = 1;
};

SafeDtype dtype_of(const Format& format) {
  switch (format.id) {
    case FormatId::F16:
      return SafeDtype::F16;
    case FormatId::BF16:
      return SafeDtype::BF16;
    default:
      return SafeDtype::F32;
  }
}

class Exporter {
 public:
  Exporter(const ModelSource& source, const std::filesystem::path& folder,
           const ExportOptions& options, ThreadPool& pool)
      : source_(source), options_(options), pool_(pool), writer_(folder, options.max_file_bytes) {}

  Result<ExportReport> run(const std::function<void(uint64_t, uint64_t)>& progress,
                           const std::atomic<bool>* cancelled) {
    RETURN_IF_ERROR(make_config());
    RETURN_IF_ERROR(add_tensors());
    config_["torch_dtype"] = n_f32_ * 2 >= n_weights_    ? "float32"
                             : n_bf16_ * 2 >= n_weights_ ? "bfloat16"
                                                         : "float16";
    if (source_.metadata().find(model_.architecture + ".pooling_type") != nullptr) {
      report_.warnings.push_back(
          fmt::format("[{}] how embeddings are pooled is not written into the folder", where()));
    }
    writer_.add_text("config.json", config_.dump(2) + "\n");
    ASSIGN_OR_RETURN(auto texts, tokenizer_files(source_.metadata(), report_.warnings));
    for (auto& [name, text] : texts) writer_.add_text(name, std::move(text));
    add_card();
    RETURN_IF_ERROR(writer_.begin());
    uint64_t done = 0, total = 0;
    for (const Job& job : jobs_) total += bytes_of(job);
    for (size_t i = 0; i < jobs_.size(); ++i) {
      RETURN_IF_ERROR(write(i, cancelled));
      done += bytes_of(jobs_[i]);
      if (progress) progress(done, total);
    }
    RETURN_IF_ERROR(writer_.finish());
    report_.files = writer_.paths();
    report_.file_bytes = writer_.file_bytes();
    report_.n_tensors = jobs_.size();
    return std::move(report_);
  }

 private:
  static uint64_t bytes_of(const Job& job) {
    return static_cast<uint64_t>(job.n_rows * job.row_len);
  }
  std::string where() const { return source_.path().string(); }
  Status make_config();
  void add_card();
  Status check_made(const std::string& name, const std::vector<float>& values);
  Status add_tensors();
  Status add_rule(const HfTensorRule& rule, int64_t layer);
  Status write(size_t index, const std::atomic<bool>* cancelled);
  void produce(const Job& job, int64_t first_row, int64_t n_rows, std::vector<float>& x,
               std::vector<std::byte>& out) const;

  const ModelSource& source_;
  const ExportOptions& options_;
  ThreadPool& pool_;
  SafetensorsWriter writer_;
  ExportReport report_;
  const HfFamily* family_ = nullptr;
  json config_;
  HfModel model_;
  std::vector<Job> jobs_;
  std::set<std::string> used_;
  std::vector<float> whole_;  // of a tensor that is transposed
  double n_weights_ = 0, n_f32_ = 0, n_bf16_ = 0;
};

// The configuration is written from the metadata and then read as that of any folder: what the
// reader makes of it decides which tensors there must be, and must be the metadata again.
Status Exporter::make_config() {
  const GgufValue* value = source_.metadata().find("general.architecture");
  const auto name = value != nullptr ? value->as_string() : std::nullopt;
  family_ = name ? find_hf_family(*name) : nullptr;
  if (family_ == nullptr || family_->write == nullptr) {
    return make_error(
        ErrorKind::kFailure,
        "[{}] has the architecture '{}', which nibble does not export to a folder; it "
        "exports: {}",
        where(), name ? printable(*name) : "", exported_architectures());
  }
  ConfigReader reader(source_.metadata(), std::string(*name), where());
  config_["architectures"] = json::array({std::string(family_->classes.front())});
  family_->write(source_, reader, config_);
  RETURN_IF_ERROR(reader.status());
  const GgufTensor* embedding = source_.find_tensor("token_embd.weight");
  if (embedding != nullptr) config_["vocab_size"] = embedding->n_rows();
  model_.architecture = *name;
  HfConfig back(config_, where() + ": config.json");
  family_->read(back, model_);
  RETURN_IF_ERROR(back.finish());
  for (const auto& [key, expected] : model_.metadata.entries()) {
    const GgufValue* given = source_.metadata().find(key);
    // what is absent has a usual value, which the reader writes out
    if (given == nullptr || given->as_float() == expected.as_float()) continue;
    if (given->type() == GgufType::kArray) continue;  // per layer; read_config saw that all agree
    return make_error(ErrorKind::kFailure,
                      "[{}] {} cannot be said in a config.json as it is in this file", where(),
                      printable(key));
  }
  return {};
}

void Exporter::add_card() {
  std::vector<std::string> lost;
  std::string card = model_card(source_.metadata(), lost);
  if (!card.empty()) writer_.add_text("README.md", std::move(card));
  if (lost.empty()) return;
  for (std::string& key : lost) key = printable(key);
  report_.warnings.push_back(fmt::format("[{}] {} {} no place in the folder", where(),
                                         fmt::join(lost, ", "), lost.size() == 1 ? "has" : "have"));
}

Status Exporter::add_rule(const HfTensorRule& rule, int64_t layer) {
  if ((model_.flags & rule.flags) != rule.flags) return {};
  const std::string name = with_number(rule.gguf, "{i}", layer);
  const GgufTensor* tensor = source_.find_tensor(name);
  if (tensor == nullptr) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] the tensor {} is missing; the file holds no complete model", where(),
                      name);
  }
  used_.insert(name);
  std::vector<int64_t> shape;
  for (const HfDim dim : rule.shape) {
    if (dim != HfDim::none) shape.push_back(model_[dim]);
  }
  const bool is_stack = rule.transform == HfTransform::stack;
  const int64_t n_parts = is_stack ? model_[HfDim::experts] : 1;
  int64_t n = n_parts;
  for (const int64_t dim : shape) n *= dim;
  const int64_t row_len = rule.transform == HfTransform::transpose ? shape.front() : shape.back();
  if (tensor->n_elements() != n || tensor->row_len() != row_len || !tensor->format->is_weight) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] the tensor {} has {} elements in rows of {}; {} in rows of {} follow "
                      "from the metadata",
                      where(), name, tensor->n_elements(), tensor->row_len(), n, row_len);
  }
  Job job;
  job.from = tensor;
  job.transform = rule.transform;
  job.head_dim = model_[HfDim::head];
  job.format = tensor->format->block_len > 1 ? &format_of(options_.decoded) : tensor->format;
  report_.n_decoded += tensor->format->block_len > 1;
  job.n_rows = shape.size() == 1 ? shape[0] : shape[0];
  job.row_len = shape.size() == 1 ? 1 : shape[1];
  for (int64_t part = 0; part < n_parts; ++part) {
    job.first_row = part * job.n_rows;
    jobs_.push_back(job);
    writer_.add_tensor(with_number(with_number(rule.hf, "{i}", layer), "{e}", part),
                       dtype_of(*job.format), shape);
  }
  const auto weights = static_cast<double>(n);
  n_weights_ += weights;
  if (job.format->id == FormatId::F32) n_f32_ += weights;
  if (job.format->id == FormatId::BF16) n_bf16_ += weights;
  return {};
}

// A tensor that the configuration stands for must be what the reader makes of it.
Status Exporter::check_made(const std::string& name, const std::vector<float>& values) {
  used_.insert(name);
  const GgufTensor* tensor = source_.find_tensor(name);
  const auto n = static_cast<int64_t>(values.size());
  std::vector<float> given(values.size());
  const bool fits =
      tensor != nullptr && tensor->n_elements() == n && tensor->format->id == FormatId::F32;
  if (fits) source_.read(*tensor, 0, n, reinterpret_cast<std::byte*>(given.data()));
  const auto is_near = [](float a, float b) { return std::abs(a - b) <= 1e-6f * std::abs(b); };
  if (fits && std::equal(given.begin(), given.end(), values.begin(), is_near)) return {};
  return make_error(ErrorKind::kFailure,
                    "[{}] the tensor {} holds numbers that no config.json gives; it cannot be "
                    "exported",
                    where(), name);
}

Status Exporter::add_tensors() {
  RETURN_IF_ERROR(for_each_rule(
      *family_, model_.n_layers,
      [&](const HfTensorRule& rule, int64_t layer) { return add_rule(rule, layer); }));
  for (const auto& [name, values] : model_.made) RETURN_IF_ERROR(check_made(name, values));
  for (const GgufTensor& tensor : source_.tensors()) {
    if (used_.contains(tensor.name)) continue;
    return make_error(ErrorKind::kFailure,
                      "[{}] the tensor {} has no place in a folder of this kind of model; leaving "
                      "it out would change what the model computes",
                      where(), printable(tensor.name));
  }
  return {};
}

// Rows [first_row, first_row + n_rows) of the folder's tensor, in its format.
void Exporter::produce(const Job& job, int64_t first_row, int64_t n_rows, std::vector<float>& x,
                       std::vector<std::byte>& out) const {
  const Format& from = *job.from->format;
  out.resize(job.format->size_bytes(n_rows * job.row_len));
  const bool is_kept = job.format == &from && job.transform != HfTransform::transpose &&
                       job.transform != HfTransform::add_one;
  if (is_kept && gguf_row(job.transform, 1, job.n_rows, job.head_dim) == 1 &&
      job.transform != HfTransform::regroup_qkv) {
    source_.read(*job.from, (job.first_row + first_row) * job.row_len, n_rows * job.row_len,
                 out.data());
    return;
  }
  x.resize(static_cast<size_t>(job.row_len));
  std::vector<std::byte> bytes(from.size_bytes(std::max<int64_t>(job.row_len, from.block_len)));
  for (int64_t i = 0; i < n_rows; ++i) {
    std::byte* target = out.data() + job.format->size_bytes(i * job.row_len);
    const int64_t row = first_row + i;
    if (job.transform == HfTransform::transpose) {
      for (int64_t c = 0; c < job.row_len; ++c) {
        x[static_cast<size_t>(c)] = whole_[static_cast<size_t>(c * job.n_rows + row)];
      }
    } else {
      const int64_t source_row =
          job.first_row + gguf_row(job.transform, row, job.n_rows, job.head_dim);
      if (is_kept) {
        source_.read(*job.from, source_row * job.row_len, job.row_len, target);
        continue;
      }
      source_.read(*job.from, source_row * job.row_len, job.row_len, bytes.data());
      from.decode(bytes.data(), x.data(), job.row_len);
      if (job.transform == HfTransform::add_one) {
        for (float& value : x) value -= 1.0f;
      }
    }
    job.format->encode(x.data(), nullptr, target, job.row_len);
  }
}

Status Exporter::write(size_t index, const std::atomic<bool>* cancelled) {
  const Job& job = jobs_[index];
  if (job.transform == HfTransform::transpose) {  // GPT-2's matrices are small
    const auto n = static_cast<size_t>(job.from->n_elements());
    std::vector<std::byte> bytes(job.from->size_bytes);
    source_.read(*job.from, 0, job.from->n_elements(), bytes.data());
    whole_.resize(n);
    job.from->format->decode(bytes.data(), whole_.data(), job.from->n_elements());
  }
  std::mutex mutex;
  std::optional<Error> error;
  const int64_t rows_per_chunk = std::max<int64_t>(kChunkWeights / job.row_len, 1);
  const int64_t n_chunks = (job.n_rows + rows_per_chunk - 1) / rows_per_chunk;
  pool_.parallel_for(n_chunks, 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> x;
    std::vector<std::byte> out;
    for (int64_t i = begin; i < end; ++i) {
      if (cancelled != nullptr && cancelled->load(std::memory_order_relaxed)) return;
      const int64_t first = i * rows_per_chunk;
      produce(job, first, std::min(rows_per_chunk, job.n_rows - first), x, out);
      const Status status = writer_.write(index, job.format->size_bytes(first * job.row_len), out);
      if (status.ok()) continue;
      const std::lock_guard lock(mutex);
      if (!error) error = status.error();
    }
  });
  if (error) return *error;
  if (cancelled != nullptr && cancelled->load()) {
    return make_error(ErrorKind::kInterrupted, "[export] interrupted; nothing was written");
  }
  RETURN_IF_ERROR(source_.check_unchanged(*job.from));
  source_.dont_need(*job.from);
  return {};
}

}  // namespace

Result<ExportReport> export_folder(const ModelSource& source, const std::filesystem::path& folder,
                                   const ExportOptions& options, ThreadPool& pool,
                                   const std::function<void(uint64_t, uint64_t)>& progress,
                                   const std::atomic<bool>* cancelled) {
  return Exporter(source, folder, options, pool).run(progress, cancelled);
}

}  // namespace nibble
