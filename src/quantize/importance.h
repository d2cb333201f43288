// The importance matrix ("imatrix"): for every linear layer the mean of the squared inputs, one
// number per column of the weight. Encoders weigh the error of a column with it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "container/gguf.h"

namespace nibble {

// What was collected for one weight [n_in, n_out, n_mat]; n_mat > 1: one matrix per expert.
struct ImportanceEntry {
  std::vector<float> sums;    // [n_mat, n_in]: sum over tokens of x_j^2
  std::vector<float> counts;  // [n_mat], or one for all: tokens (older form: passes over the model)
};

class ImportanceMatrix {
 public:
  // Reads the GGUF form (general.type "imatrix"; F32 tensors `<name>.in_sum2` [n_in, n_mat] and
  // `<name>.counts` [1, n_mat]) or the older flat binary one; the first bytes tell which it is.
  // Both are llama.cpp's (tools/imatrix). Errors: kNotFound, kUsage (no regular file), kInvalid
  // (malformed; numbers that are negative, NaN or infinite).
  static Result<ImportanceMatrix> read(const std::filesystem::path& path);
  // The older form, over bytes in memory.
  static Result<ImportanceMatrix> parse_legacy(std::span<const std::byte> bytes,
                                               std::string_view where);

  // Writes the GGUF form. Errors: those of GgufWriter.
  Status write(const std::filesystem::path& path) const;

  using Entries = std::map<std::string, ImportanceEntry, std::less<>>;
  const Entries& entries() const { return entries_; }
  void add(std::string name, ImportanceEntry entry) {
    entries_.insert_or_assign(std::move(name), std::move(entry));
  }

  // The factors of one weight, [n_mat, n_in] in the order of its matrices: sums / counts, 1 for a
  // matrix that saw no token. Empty when nothing is known of the tensor. kInvalid: width or number
  // of matrices differ, so the data belong to another model.
  Result<std::vector<float>> factors(const GgufTensor& tensor) const;

  // Tokens behind the entry that saw most; 0 when not known (the older form counts passes).
  int64_t n_tokens() const;

  // What the file says of the text it was collected on.
  struct Source {
    std::vector<std::string> datasets;
    uint32_t n_chunks = 0;
    uint32_t chunk_tokens = 0;  // 0: not known
  };
  const Source& source() const { return source_; }
  void set_source(Source source) { source_ = std::move(source); }

 private:
  static Result<ImportanceMatrix> from_gguf(const GgufFile& file, std::string_view where);

  Entries entries_;
  Source source_;
};

}  // namespace nibble
