// Small Llama-shaped GGUF files with generated weights, for tests.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/random.h"
#include "container/gguf.h"
#include "tests/support/random_blocks.h"

namespace nibble::testing {

// A folder of its own for one test, removed with all that is in it.
class ScratchFolder {
 public:
  ScratchFolder() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    path_ =
        std::filesystem::path(NIBBLE_TEST_SCRATCH) / fmt::format("{}-{}", test->name(), getpid());
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

 private:
  std::filesystem::path path_;
};

struct TinyTensor {
  std::string name;
  FormatId format;
  std::vector<int64_t> dims;
  std::vector<std::byte> bytes;

  float* floats() { return reinterpret_cast<float*>(bytes.data()); }
};

inline TinyTensor make_tensor(std::string name, FormatId format, std::vector<int64_t> dims,
                              Random& random) {
  int64_t n = 1;
  for (const int64_t dim : dims) n *= dim;
  std::vector<float> x(static_cast<size_t>(n));
  for (float& value : x) value = static_cast<float>(0.02 * random.normal());
  TinyTensor tensor{std::move(name), format, std::move(dims), {}};
  if (format_of(format).encode == nullptr) {  // read only: random codes, all scales 2^-10
    tensor.bytes = random_blocks(format_of(format), n, random);
    set_unit_scales(format_of(format), tensor.bytes, 0x1400);
    return tensor;
  }
  tensor.bytes.resize(format_of(format).size_bytes(n));
  format_of(format).encode(x.data(), nullptr, tensor.bytes.data(), n);
  return tensor;
}

struct TinyModel {
  GgufMetadata metadata;
  std::vector<TinyTensor> tensors;

  TinyTensor& find(std::string_view name) {
    for (TinyTensor& tensor : tensors) {
      if (tensor.name == name) return tensor;
    }
    CHECK(false);
  }
};

struct TinyShape {
  int64_t d_model = 256, d_ff = 512, vocab_size = 96;
  int n_layers = 2, n_heads = 4, n_kv_heads = 2;
  bool tied = true;
  FormatId format = FormatId::F32;
};

inline TinyModel make_model(const TinyShape& shape) {
  TinyModel model;
  const auto set_number = [&](const char* key, int64_t value) {
    model.metadata.set(key, GgufValue::of_uint32(static_cast<uint32_t>(value)));
  };
  model.metadata.set("general.architecture", GgufValue::of_string("llama"));
  model.metadata.set("general.name", GgufValue::of_string("tiny \xe2\x82\xac"));
  set_number("llama.block_count", shape.n_layers);
  set_number("llama.embedding_length", shape.d_model);
  set_number("llama.attention.head_count", shape.n_heads);
  set_number("llama.attention.head_count_kv", shape.n_kv_heads);
  model.metadata.set("llama.rope.freq_base", GgufValue::of_float32(10000.f));
  set_number("general.file_type", 0);
  const std::string tokens[] = {"a", "", "<s>"};
  model.metadata.set("tokenizer.ggml.tokens", GgufValue::of_strings(tokens));
  const int32_t unknown[] = {-1, 2, 3};
  model.metadata.set("x.we.do.not.know", GgufValue::of_int32s(unknown));

  Random random(7);
  const auto add = [&](std::string name, FormatId format, std::vector<int64_t> dims) {
    model.tensors.push_back(make_tensor(std::move(name), format, std::move(dims), random));
  };
  const int64_t d_kv = shape.d_model / shape.n_heads * shape.n_kv_heads;
  add("token_embd.weight", shape.format, {shape.d_model, shape.vocab_size});
  for (int i = 0; i < shape.n_layers; ++i) {
    const auto name = [i](const char* part) { return fmt::format("blk.{}.{}.weight", i, part); };
    add(name("attn_norm"), FormatId::F32, {shape.d_model});
    add(name("attn_q"), shape.format, {shape.d_model, shape.d_model});
    add(name("attn_k"), shape.format, {shape.d_model, d_kv});
    add(name("attn_v"), shape.format, {shape.d_model, d_kv});
    add(name("attn_output"), shape.format, {shape.d_model, shape.d_model});
    add(name("ffn_norm"), FormatId::F32, {shape.d_model});
    add(name("ffn_gate"), shape.format, {shape.d_model, shape.d_ff});
    add(name("ffn_up"), shape.format, {shape.d_model, shape.d_ff});
    add(name("ffn_down"), shape.format, {shape.d_ff, shape.d_model});
  }
  add("output_norm.weight", FormatId::F32, {shape.d_model});
  if (!shape.tied) add("output.weight", shape.format, {shape.d_model, shape.vocab_size});
  return model;
}

inline void write_model(const TinyModel& model, const std::filesystem::path& path) {
  GgufWriter writer(path, model.metadata);
  for (const TinyTensor& tensor : model.tensors) {
    const auto index = writer.add_tensor(tensor.name, format_of(tensor.format), tensor.dims);
    ASSERT_TRUE(index.ok()) << index.error().message;
  }
  const Status begun = writer.begin();
  ASSERT_TRUE(begun.ok()) << begun.error().message;
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const Status written = writer.write(i, 0, model.tensors[i].bytes);
    ASSERT_TRUE(written.ok()) << written.error().message;
  }
  const Status finished = writer.finish();
  ASSERT_TRUE(finished.ok()) << finished.error().message;
}

inline std::string hash_of(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  return file.ok() ? sha256_hex(file->bytes()) : file.error().message;
}

}  // namespace nibble::testing
