#include "quantize/importance.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/byte_reader.h"
#include "container/printable.h"

namespace nibble {
namespace {

constexpr std::string_view kSumsSuffix = ".in_sum2", kCountsSuffix = ".counts";

bool is_valid(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(),
                     [](float v) { return std::isfinite(v) && v >= 0; });
}

Status check_entry(std::string_view where, const std::string& name, const ImportanceEntry& entry) {
  if (entry.sums.empty() || entry.counts.empty() || entry.sums.size() % entry.counts.size() != 0) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] {}: {} sums for {} counts; a file made for quantizing has the same "
                      "number of sums for every count",
                      where, printable(name), entry.sums.size(), entry.counts.size());
  }
  if (!is_valid(entry.sums) || !is_valid(entry.counts)) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] {}: a sum of squares or a count is negative, NaN or infinite; collect "
                      "the importance matrix again",
                      where, printable(name));
  }
  return {};
}

Result<std::vector<float>> floats_of(const GgufFile& file, const GgufTensor& tensor,
                                     std::string_view where) {
  if (tensor.format->id != FormatId::F32) {
    return make_error(ErrorKind::kInvalid, "[{}] {} is {}; in an importance matrix it is F32",
                      where, printable(tensor.name), tensor.format->name);
  }
  std::vector<float> values(static_cast<size_t>(tensor.n_elements()));
  const auto bytes = file.data(tensor);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

uint32_t number_or_zero(const GgufFile& file, std::string_view key) {
  const GgufValue* value = file.metadata().find(key);
  const auto number = value ? value->as_uint() : std::nullopt;
  return number ? static_cast<uint32_t>(std::min<uint64_t>(*number, UINT32_MAX)) : 0;
}

}  // namespace

Result<ImportanceMatrix> ImportanceMatrix::read(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
  const auto bytes = file.bytes();
  if (bytes.size() < 4 || std::memcmp(bytes.data(), "GGUF", 4) != 0) {
    return parse_legacy(bytes, path.string());
  }
  ASSIGN_OR_RETURN(const GgufFile gguf, GgufFile::parse(bytes, path.string()));
  return from_gguf(gguf, path.string());
}

Result<ImportanceMatrix> ImportanceMatrix::from_gguf(const GgufFile& file, std::string_view where) {
  const GgufValue* type = file.metadata().find("general.type");
  if (type != nullptr && type->as_string() != "imatrix") {
    return make_error(ErrorKind::kInvalid,
                      "[{}] is a GGUF file of another kind (general.type is not \"imatrix\"); "
                      "collect an importance matrix with nibble calibrate",
                      where);
  }
  ImportanceMatrix matrix;
  for (const GgufTensor& tensor : file.tensors()) {
    if (!tensor.name.ends_with(kSumsSuffix)) continue;
    const std::string name = tensor.name.substr(0, tensor.name.size() - kSumsSuffix.size());
    const GgufTensor* counts = file.find_tensor(name + std::string(kCountsSuffix));
    if (counts == nullptr) {
      return make_error(ErrorKind::kInvalid, "[{}] {} has sums but no counts; the file is damaged",
                        where, printable(name));
    }
    ImportanceEntry entry;
    ASSIGN_OR_RETURN(entry.sums, floats_of(file, tensor, where));
    ASSIGN_OR_RETURN(entry.counts, floats_of(file, *counts, where));
    RETURN_IF_ERROR(check_entry(where, name, entry));
    matrix.add(name, std::move(entry));
  }
  if (matrix.entries_.empty()) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] holds no importance data (no tensor named *.in_sum2); a model is not "
                      "an importance matrix: collect one with nibble calibrate",
                      where);
  }
  if (const GgufValue* datasets = file.metadata().find("imatrix.datasets")) {
    matrix.source_.datasets = datasets->as_strings().value_or(std::vector<std::string>{});
  }
  matrix.source_.n_chunks = number_or_zero(file, "imatrix.chunk_count");
  matrix.source_.chunk_tokens = number_or_zero(file, "imatrix.chunk_size");
  return matrix;
}

// i32 n_entries; n_entries x { i32 name length, name, i32 n_calls, i32 n_values, f32[n_values] =
// mean x n_calls }; then, maybe, i32 n_chunks, i32 length and name of the data set.
Result<ImportanceMatrix> ImportanceMatrix::parse_legacy(std::span<const std::byte> bytes,
                                                        std::string_view where) {
  ByteReader reader(bytes);
  const auto malformed = [&](std::string_view field) {
    return make_error(ErrorKind::kInvalid,
                      "[{}] not an importance matrix: {} at byte {} is missing or out of range",
                      where, field, reader.offset());
  };
  ImportanceMatrix matrix;
  const auto n_entries = reader.read<int32_t>();
  if (!n_entries || *n_entries < 1) return malformed("the number of entries");
  for (int32_t i = 0; i < *n_entries; ++i) {
    const auto name_bytes = reader.read<int32_t>();
    if (!name_bytes || *name_bytes < 1 || *name_bytes > 4096) return malformed("a name length");
    const auto name = reader.take_string(static_cast<uint64_t>(*name_bytes));
    if (!name) return malformed("a name");
    const auto n_calls = reader.read<int32_t>();
    if (!n_calls || *n_calls < 0) return malformed("a number of passes");
    const auto n_values = reader.read<int32_t>();
    if (!n_values || *n_values < 1) return malformed("a number of values");
    const auto values = reader.take(uint64_t{4} * static_cast<uint64_t>(*n_values));
    if (!values) return malformed("a list of values");
    ImportanceEntry entry;
    entry.sums.resize(static_cast<size_t>(*n_values));
    std::memcpy(entry.sums.data(), values->data(), values->size());
    entry.counts = {static_cast<float>(*n_calls)};
    RETURN_IF_ERROR(check_entry(where, std::string(*name), entry));
    matrix.add(std::string(*name), std::move(entry));
  }
  if (reader.remaining() == 0) return matrix;
  const auto n_chunks = reader.read<int32_t>();
  if (!n_chunks || *n_chunks < 0) return malformed("the number of chunks");
  matrix.source_.n_chunks = static_cast<uint32_t>(*n_chunks);
  if (reader.remaining() == 0) return matrix;
  const auto dataset_bytes = reader.read<int32_t>();
  if (!dataset_bytes || *dataset_bytes < 0) return malformed("the length of the data set's name");
  const auto dataset = reader.take_string(static_cast<uint64_t>(*dataset_bytes));
  if (!dataset || reader.remaining() != 0) return malformed("the data set's name");
  if (!dataset->empty()) matrix.source_.datasets.emplace_back(*dataset);
  return matrix;
}

Status ImportanceMatrix::write(const std::filesystem::path& path) const {
  GgufMetadata metadata;
  metadata.set("general.type", GgufValue::of_string("imatrix"));
  metadata.set("imatrix.datasets", GgufValue::of_strings(source_.datasets));
  metadata.set("imatrix.chunk_count", GgufValue::of_uint32(source_.n_chunks));
  metadata.set("imatrix.chunk_size", GgufValue::of_uint32(source_.chunk_tokens));
  GgufWriter writer(path, std::move(metadata));
  const Format& f32 = format_of(FormatId::F32);
  std::vector<std::span<const float>> data;
  for (const auto& [name, entry] : entries_) {
    const auto n_mat = static_cast<int64_t>(entry.counts.size());
    const auto declare = [&, &name = name](std::string_view suffix, int64_t width) {
      const int64_t dims[] = {width, n_mat};
      return writer.add_tensor(name + std::string(suffix), f32, dims);
    };
    ASSIGN_OR_RETURN([[maybe_unused]] const size_t sums,
                     declare(kSumsSuffix, static_cast<int64_t>(entry.sums.size()) / n_mat));
    ASSIGN_OR_RETURN([[maybe_unused]] const size_t counts, declare(kCountsSuffix, 1));
    data.insert(data.end(), {entry.sums, entry.counts});
  }
  RETURN_IF_ERROR(writer.begin());
  for (size_t i = 0; i < data.size(); ++i) {
    RETURN_IF_ERROR(writer.write(i, 0, std::as_bytes(data[i])));
  }
  return writer.finish();
}

Result<std::vector<float>> ImportanceMatrix::factors(const GgufTensor& tensor) const {
  const auto found = entries_.find(tensor.name);
  if (found == entries_.end()) return std::vector<float>{};
  const ImportanceEntry& entry = found->second;
  const auto n_in = static_cast<size_t>(tensor.row_len());
  const auto n_mat = static_cast<size_t>(tensor.dims[2] * tensor.dims[3]);
  const size_t n_counts = entry.counts.size();
  if (entry.sums.size() != n_in * n_mat || (n_counts != 1 && n_counts != n_mat)) {
    return make_error(ErrorKind::kInvalid,
                      "[imatrix] {}: the model has {} x {} columns, the importance matrix has {} "
                      "numbers and {} counts; it was collected on another model",
                      tensor.name, n_mat, n_in, entry.sums.size(), n_counts);
  }
  std::vector<float> factors(entry.sums.size());
  for (size_t i = 0; i < factors.size(); ++i) {
    const float count = entry.counts[n_counts == 1 ? 0 : i / n_in];
    factors[i] = count > 0 ? entry.sums[i] / count : 1.0f;
  }
  return factors;
}

int64_t ImportanceMatrix::n_tokens() const {
  if (source_.chunk_tokens == 0) return 0;
  float most = 0;
  for (const auto& [name, entry] : entries_) {
    most = std::max(most, *std::max_element(entry.counts.begin(), entry.counts.end()));
  }
  return static_cast<int64_t>(std::min(most, 1e18f));
}

}  // namespace nibble
