#include "quantize/pipeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "tests/support/tiny_model.h"

namespace nibble {
namespace {

using enum FormatId;
using testing::hash_of;
using testing::make_model;
using testing::ScratchFolder;
using testing::TinyModel;
using testing::TinyShape;
using testing::TinyTensor;
using testing::write_model;
namespace fs = std::filesystem;

Result<QuantizeReport> quantize(const fs::path& input, const fs::path& output, std::string_view to,
                                int n_threads = 2, bool allow_requantize = false) {
  ThreadPool pool(n_threads);
  return quantize_file(input, output, {.to = std::string(to), .allow_requantize = allow_requantize},
                       pool, nullptr, nullptr);
}

// What a tensor of the output must hold: each row decoded and encoded by itself.
std::vector<std::byte> convert(const TinyTensor& tensor, const Format& target) {
  const Format& source = format_of(tensor.format);
  if (&source == &target) return tensor.bytes;
  const int64_t row_len = tensor.dims[0];
  const size_t source_row = source.size_bytes(row_len), target_row = target.size_bytes(row_len);
  const size_t n_rows = tensor.bytes.size() / source_row;
  std::vector<float> x(static_cast<size_t>(row_len));
  std::vector<std::byte> blocks(n_rows * target_row);
  for (size_t row = 0; row < n_rows; ++row) {
    source.decode(tensor.bytes.data() + row * source_row, x.data(), row_len);
    target.encode(x.data(), nullptr, blocks.data() + row * target_row, row_len);
  }
  return blocks;
}

void expect_content(const TinyModel& model, const fs::path& path, const QuantizePlan& plan) {
  const auto file = GgufFile::open(path);
  ASSERT_TRUE(file.ok()) << file.error().message;
  ASSERT_EQ(file->tensors().size(), model.tensors.size());
  for (size_t i = 0; i < model.tensors.size(); ++i) {
    const GgufTensor& written = file->tensors()[i];
    EXPECT_EQ(written.name, model.tensors[i].name);
    EXPECT_EQ(written.format, plan.tensors[i].chosen) << written.name;
    EXPECT_EQ(written.size_bytes, plan.tensors[i].size_bytes) << written.name;
    const auto bytes = file->data(written);
    const auto expected = convert(model.tensors[i], *written.format);
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), expected.begin(), expected.end()))
        << written.name << " as " << written.format->name;
  }
}

const TensorPlan& find(const QuantizePlan& plan, std::string_view name) {
  const auto found = std::find_if(plan.tensors.begin(), plan.tensors.end(),
                                  [&](const TensorPlan& row) { return row.source.name == name; });
  CHECK(found != plan.tensors.end());
  return *found;
}

class EveryRecipe : public ::testing::TestWithParam<const char*> {};

TEST_P(EveryRecipe, SameBytesForAnyThreadsAndEqualToThePlan) {
  const ScratchFolder folder;
  // 576 exercises the substitutes, the odd vocabulary a last chunk that is not full
  for (const int64_t d_model : {int64_t{256}, int64_t{576}}) {
    const TinyModel model = make_model({.d_model = d_model,
                                        .d_ff = 256,
                                        .vocab_size = 257,
                                        .n_layers = 1,
                                        .tied = d_model == 576});
    write_model(model, folder / "in.gguf");
    std::string first;
    for (int n_threads = 1; n_threads <= 4; ++n_threads) {
      const auto report = quantize(folder / "in.gguf", folder / "out.gguf", GetParam(), n_threads);
      ASSERT_TRUE(report.ok()) << report.error().message;
      const std::string hash = hash_of(folder / "out.gguf");
      if (n_threads == 1) {
        first = hash;
        expect_content(model, folder / "out.gguf", report->plan);
      }
      EXPECT_EQ(hash, first) << n_threads << " threads";
      EXPECT_EQ(report->plan.file_bytes, fs::file_size(folder / "out.gguf"));
      EXPECT_GE(report->seconds, 0);
    }
    const auto file = GgufFile::open(folder / "in.gguf");
    ASSERT_TRUE(file.ok());
    const auto plan = plan_quantize(*file, {.to = GetParam()});
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_EQ(plan->file_bytes, fs::file_size(folder / "out.gguf"));
    EXPECT_EQ(plan->source_file_bytes, fs::file_size(folder / "in.gguf"));
  }
}

TEST_P(EveryRecipe, FromSixteenBits) {
  const ScratchFolder folder;
  for (const FormatId source : {F16, BF16}) {
    const TinyModel model = make_model({.vocab_size = 33, .format = source});
    write_model(model, folder / "in.gguf");
    const auto report = quantize(folder / "in.gguf", folder / "out.gguf", GetParam());
    ASSERT_TRUE(report.ok()) << report.error().message;
    expect_content(model, folder / "out.gguf", report->plan);
  }
}

INSTANTIATE_TEST_SUITE_P(Pipeline, EveryRecipe,
                         ::testing::Values("COPY", "F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M",
                                           "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "IQ4_NL",
                                           "IQ4_XS", "Q4_1", "Q4_0", "MXFP4_MOE", "Q3_K_L",
                                           "Q3_K_M", "Q3_K_S", "Q2_K", "TQ2_0", "TQ1_0"),
                         [](const auto& param) { return std::string(param.param); });

TEST(Pipeline, MetadataIsCarriedOver) {
  const ScratchFolder folder;
  const TinyModel model = make_model({});
  write_model(model, folder / "in.gguf");
  const auto report = quantize(folder / "in.gguf", folder / "out.gguf", "q4_k");
  ASSERT_TRUE(report.ok()) << report.error().message;
  const auto in = GgufFile::open(folder / "in.gguf");
  const auto out = GgufFile::open(folder / "out.gguf");
  ASSERT_TRUE(in.ok() && out.ok());
  EXPECT_EQ(out->metadata().find("general.file_type")->as_uint(), 15u);
  EXPECT_EQ(out->metadata().find("general.quantization_version")->as_uint(), 2u);
  EXPECT_EQ(out->metadata().entries().size(), in->metadata().entries().size() + 1);
  size_t i = 0;
  for (const auto& [key, value] : in->metadata().entries()) {
    EXPECT_EQ(out->metadata().entries()[i++].first, key);  // the order, too
    if (key == "general.file_type") continue;
    const GgufValue* carried = out->metadata().find(key);
    ASSERT_NE(carried, nullptr) << key;
    EXPECT_EQ(carried->type(), value.type()) << key;
    EXPECT_EQ(carried->element_type(), value.element_type()) << key;
    EXPECT_EQ(carried->count(), value.count()) << key;
    EXPECT_EQ(carried->bytes(), value.bytes()) << key;
  }
}

TEST(Pipeline, PlanSaysWhatHappensTo576WideRows) {
  const ScratchFolder folder;
  const TinyModel model = make_model({.d_model = 576, .d_ff = 1536, .n_heads = 9, .n_kv_heads = 3});
  write_model(model, folder / "in.gguf");
  const auto file = GgufFile::open(folder / "in.gguf");
  ASSERT_TRUE(file.ok());
  const auto plan = plan_quantize(*file, {.to = "Q4_K_M"});
  ASSERT_TRUE(plan.ok()) << plan.error().message;

  const TensorPlan& q = find(*plan, "blk.0.attn_q.weight");
  EXPECT_EQ(q.requested->id, Q4_K);
  EXPECT_EQ(q.chosen->id, IQ4_NL);
  EXPECT_EQ(q.identity, (TensorIdentity{TensorRole::attn_q, 0}));
  EXPECT_NE(q.reason.find("576"), std::string::npos) << q.reason;
  EXPECT_NE(q.reason.find("256"), std::string::npos) << q.reason;
  EXPECT_EQ(q.size_bytes, 576u * 576 * 18 / 32);
  const TensorPlan& embedding = find(*plan, "token_embd.weight");  // tied: the head, too
  EXPECT_EQ(embedding.requested->id, Q6_K);
  EXPECT_EQ(embedding.chosen->id, Q8_0);
  const TensorPlan& down = find(*plan, "blk.1.ffn_down.weight");  // 1536 = 6 x 256; a last layer
  EXPECT_EQ(down.chosen->id, Q6_K);
  EXPECT_TRUE(down.reason.empty());
  const TensorPlan& norm = find(*plan, "blk.1.ffn_norm.weight");
  EXPECT_EQ(norm.chosen->id, F32);
  EXPECT_FALSE(norm.converted());

  // 2 layers: q, k, v, output, gate, up; and the embedding
  EXPECT_EQ(plan->n_substituted, 13);
  EXPECT_EQ(plan->n_requantized, 0);
  uint64_t bytes = 0, n_params = 0;
  double wished = 0;
  for (const TensorPlan& row : plan->tensors) {
    const auto n = static_cast<uint64_t>(row.source.n_elements());
    bytes += row.size_bytes;
    n_params += n;
    wished += static_cast<double>(n) * row.requested->bits_per_weight();
  }
  EXPECT_EQ(plan->tensor_bytes, bytes);
  EXPECT_EQ(plan->n_params, n_params);
  EXPECT_DOUBLE_EQ(plan->bits_per_weight,
                   8.0 * static_cast<double>(bytes) / static_cast<double>(n_params));
  EXPECT_DOUBLE_EQ(plan->requested_bits_per_weight, wished / static_cast<double>(n_params));
  EXPECT_GT(plan->bits_per_weight, plan->requested_bits_per_weight);
}

// What a recipe leaves alone: integers, doubles, vectors (also as [n, 1]), routers, positions.
TEST(Pipeline, OtherTensorsPassThrough) {
  const ScratchFolder folder;
  TinyModel model = make_model({});
  Random random(3);
  const auto add_raw = [&](const char* name, FormatId format, std::vector<int64_t> dims, size_t n) {
    TinyTensor tensor{name, format, std::move(dims), std::vector<std::byte>(n)};
    for (std::byte& byte : tensor.bytes) byte = static_cast<std::byte>(random.below(256));
    model.tensors.push_back(std::move(tensor));
  };
  add_raw("blk.0.table.weight", I32, {64, 3}, 64 * 3 * 4);
  add_raw("blk.0.wide.weight", I8, {256, 256}, 256 * 256);
  add_raw("blk.0.double.weight", F64, {64, 64}, 64 * 64 * 8);
  model.tensors.push_back(testing::make_tensor("a.column.weight", F32, {256, 1}, random));
  model.tensors.push_back(testing::make_tensor("blk.0.ffn_gate_inp.weight", F32, {256, 8}, random));
  model.tensors.push_back(testing::make_tensor("position_embd.weight", F16, {256, 8}, random));
  model.tensors.push_back(testing::make_tensor("blk.0.attn_q.bias", F32, {256}, random));
  model.tensors.push_back(
      testing::make_tensor("blk.0.ffn_up_exps.weight", F32, {64, 8, 4}, random));
  write_model(model, folder / "in.gguf");
  const auto report = quantize(folder / "in.gguf", folder / "out.gguf", "Q4_0");
  ASSERT_TRUE(report.ok()) << report.error().message;
  expect_content(model, folder / "out.gguf", report->plan);
  for (const char* name : {"blk.0.table.weight", "blk.0.wide.weight", "blk.0.double.weight",
                           "a.column.weight", "blk.0.ffn_gate_inp.weight", "position_embd.weight",
                           "blk.0.attn_q.bias", "output_norm.weight"}) {
    EXPECT_FALSE(find(report->plan, name).converted()) << name;
  }
  EXPECT_EQ(find(report->plan, "blk.0.ffn_up_exps.weight").chosen->id, Q4_0);
}

// Rows longer than a chunk are cut inside; the cuts must not show.
TEST(Pipeline, VeryLongRows) {
  const ScratchFolder folder;
  Random random(5);
  for (const int64_t row_len : {int64_t{2 * 131072 + 256}, int64_t{131072 + 32}, int64_t{131071}}) {
    TinyModel model;
    model.metadata.set("general.architecture", GgufValue::of_string("llama"));
    model.tensors.push_back(testing::make_tensor("blk.0.attn_q.weight", F32, {row_len, 3}, random));
    write_model(model, folder / "in.gguf");
    for (const char* to : {"Q4_K", "Q8_0", "F16"}) {
      std::string first;
      for (const int n_threads : {1, 3}) {
        const auto report = quantize(folder / "in.gguf", folder / "out.gguf", to, n_threads);
        ASSERT_TRUE(report.ok()) << report.error().message;
        expect_content(model, folder / "out.gguf", report->plan);
        if (first.empty()) first = hash_of(folder / "out.gguf");
        EXPECT_EQ(hash_of(folder / "out.gguf"), first);
      }
    }
  }
}

TEST(Pipeline, QuantizedSourceNeedsPermission) {
  const ScratchFolder folder;
  const TinyModel model = make_model({.format = Q8_0});
  write_model(model, folder / "in.gguf");
  for (const char* to : {"Q4_0", "F32"}) {
    const auto refused = quantize(folder / "in.gguf", folder / "out.gguf", to);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind, ErrorKind::kUsage);
    for (const char* part : {"--allow-requantize", "errors of both", "token_embd.weight is Q8_0"}) {
      EXPECT_NE(refused.error().message.find(part), std::string::npos) << refused.error().message;
    }
    EXPECT_EQ(folder.names(), std::vector<std::string>{"in.gguf"});
  }
  const auto file = GgufFile::open(folder / "in.gguf");
  ASSERT_TRUE(file.ok());
  const auto plan = plan_quantize(*file, {.to = "Q4_0"});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->n_requantized, 15);

  const auto report = quantize(folder / "in.gguf", folder / "out.gguf", "Q4_0", 2, true);
  ASSERT_TRUE(report.ok()) << report.error().message;
  expect_content(model, folder / "out.gguf", report->plan);
  // to the type it has: nothing is converted, nothing to permit
  const auto copied = quantize(folder / "in.gguf", folder / "copy.gguf", "Q8_0");
  ASSERT_TRUE(copied.ok()) << copied.error().message;
  expect_content(model, folder / "copy.gguf", copied->plan);
}

TEST(Pipeline, NonFiniteWeightsAreRefused) {
  const ScratchFolder folder;
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  // converted, copied, and in a norm
  const std::pair<const char*, const char*> cases[] = {{"blk.1.ffn_up.weight", "Q4_K_M"},
                                                       {"blk.1.ffn_up.weight", "F32"},
                                                       {"blk.0.attn_norm.weight", "Q8_0"}};
  for (const auto& [name, to] : cases) {
    TinyModel model = make_model({});
    float* x = model.find(name).floats();
    x[3] = kNan;
    x[77] = -kInfinity;
    x[255] = kInfinity;
    write_model(model, folder / "in.gguf");
    const auto refused = quantize(folder / "in.gguf", folder / "out.gguf", to);
    ASSERT_FALSE(refused.ok()) << name << " " << to;
    EXPECT_EQ(refused.error().kind, ErrorKind::kInvalid);
    EXPECT_NE(refused.error().message.find(name), std::string::npos) << refused.error().message;
    EXPECT_NE(refused.error().message.find(
                  "has 3 weights that are NaN or infinite, the first at row 0, column 3;"),
              std::string::npos)
        << refused.error().message;
    EXPECT_EQ(folder.names(), std::vector<std::string>{"in.gguf"});
  }
}

// The count is of the whole tensor, also when it is many chunks and many threads.
TEST(Pipeline, NonFiniteWeightsAreCountedOverAllChunks) {
  const ScratchFolder folder;
  TinyModel model = make_model({.d_model = 256, .vocab_size = 4096});
  float* x = model.find("token_embd.weight").floats();
  for (int64_t i = 3; i < 4096; i += 8) x[i * 256 + 5] = std::numeric_limits<float>::quiet_NaN();
  write_model(model, folder / "in.gguf");
  for (const int n_threads : {1, 4}) {
    const auto refused = quantize(folder / "in.gguf", folder / "out.gguf", "Q4_0", n_threads);
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().message.find("has 512 weights"), std::string::npos)
        << refused.error().message;
    EXPECT_NE(refused.error().message.find("the first at row 3, column 5"), std::string::npos)
        << refused.error().message;
  }
}

TEST(Pipeline, BadScalesOfAQuantizedSourceAreRefused) {
  const ScratchFolder folder;
  for (const char* to : {"Q4_0", "Q8_0"}) {
    TinyModel model = make_model({.format = Q8_0});
    const uint16_t nan = 0x7e00;  // a block of Q8_0 begins with its scale
    std::memcpy(model.find("blk.0.attn_k.weight").bytes.data() + 34 * 5, &nan, sizeof nan);
    write_model(model, folder / "in.gguf");
    const auto refused = quantize(folder / "in.gguf", folder / "out.gguf", to, 2, true);
    ASSERT_FALSE(refused.ok()) << to;
    EXPECT_EQ(refused.error().kind, ErrorKind::kInvalid);
    EXPECT_NE(
        refused.error().message.find("blk.0.attn_k.weight (Q8_0) has 1 scales that are NaN or "
                                     "infinite, the first at row 0, column 160"),
        std::string::npos)
        << refused.error().message;
    EXPECT_EQ(folder.names(), std::vector<std::string>{"in.gguf"});
  }
}

// An encoder would clamp them; a model that was changed that much must not be called a success.
TEST(Pipeline, WeightsTooLargeForTheTargetAreRefused) {
  const ScratchFolder folder;
  TinyModel model = make_model({});
  float* x = model.find("blk.1.attn_v.weight").floats();
  x[9] = 70000.f;
  x[10] = -1e30f;
  write_model(model, folder / "in.gguf");
  for (const char* to : {"F16", "Q8_0", "Q4_K_M"}) {
    const auto refused = quantize(folder / "in.gguf", folder / "out.gguf", to);
    ASSERT_FALSE(refused.ok()) << to;
    EXPECT_EQ(refused.error().kind, ErrorKind::kFailure);
    EXPECT_NE(refused.error().message.find("blk.1.attn_v.weight has 2 weights too large for"),
              std::string::npos)
        << refused.error().message;
    EXPECT_NE(refused.error().message.find("the first at row 0, column 9"), std::string::npos)
        << refused.error().message;
    EXPECT_EQ(folder.names(), std::vector<std::string>{"in.gguf"});
  }
  EXPECT_TRUE(quantize(folder / "in.gguf", folder / "out.gguf", "BF16").ok());
  x[10] = std::numeric_limits<float>::max();
  write_model(model, folder / "in.gguf");
  EXPECT_FALSE(quantize(folder / "in.gguf", folder / "out.gguf", "BF16").ok());
  EXPECT_TRUE(quantize(folder / "in.gguf", folder / "out.gguf", "F32").ok());
  x[9] = 65504.f;
  x[10] = -65504.f;
  write_model(model, folder / "in.gguf");
  EXPECT_TRUE(quantize(folder / "in.gguf", folder / "out.gguf", "F16").ok());
  EXPECT_TRUE(quantize(folder / "in.gguf", folder / "out.gguf", "Q4_K_M").ok());
}

TEST(Pipeline, ProgressNeverRunsBackwards) {
  const ScratchFolder folder;
  write_model(make_model({.vocab_size = 4096}), folder / "in.gguf");
  ThreadPool pool(3);
  uint64_t last = 0, total = 0;
  int n_calls = 0;
  const auto progress = [&](uint64_t done, uint64_t all) {
    EXPECT_GE(done, last);
    EXPECT_LE(done, all);
    last = done;
    total = all;
    ++n_calls;
  };
  const auto report = quantize_file(folder / "in.gguf", folder / "out.gguf", {.to = "Q4_0"}, pool,
                                    progress, nullptr);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(last, total);
  EXPECT_EQ(total, report->plan.source_bytes);
  EXPECT_GE(n_calls, static_cast<int>(report->plan.tensors.size()));
}

TEST(Pipeline, CancelLeavesNothingBehind) {
  const ScratchFolder folder;
  write_model(make_model({.vocab_size = 4096}), folder / "in.gguf");
  ThreadPool pool(2);
  for (const double share : {0.0, 0.3, 0.6}) {
    std::atomic<bool> cancelled{share == 0};
    const auto progress = [&](uint64_t done, uint64_t total) {
      if (static_cast<double>(done) >= share * static_cast<double>(total)) cancelled = true;
    };
    const auto report = quantize_file(folder / "in.gguf", folder / "out.gguf", {.to = "Q4_K_M"},
                                      pool, progress, &cancelled);
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.error().kind, ErrorKind::kInterrupted);
    EXPECT_EQ(folder.names(), std::vector<std::string>{"in.gguf"});
  }
}

TEST(Pipeline, PathsThatCannotBe) {
  const ScratchFolder folder;
  write_model(make_model({}), folder / "in.gguf");
  const std::string before = hash_of(folder / "in.gguf");
  fs::create_directories(folder / "sub");
  fs::create_hard_link(folder / "in.gguf", folder / "hard.gguf");
  fs::create_symlink(folder / "in.gguf", folder / "soft.gguf");
  for (const char* output : {"in.gguf", "sub/../in.gguf", "hard.gguf", "soft.gguf", "sub"}) {
    const auto report = quantize(folder / "in.gguf", folder / output, "Q8_0");
    ASSERT_FALSE(report.ok()) << output;
    EXPECT_EQ(report.error().kind, ErrorKind::kUsage) << output;
  }
  EXPECT_EQ(hash_of(folder / "in.gguf"), before);
  const auto missing = quantize(folder / "none.gguf", folder / "out.gguf", "Q8_0");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind, ErrorKind::kNotFound);
  const auto no_folder = quantize(folder / "in.gguf", folder / "none/out.gguf", "Q8_0");
  ASSERT_FALSE(no_folder.ok());
  EXPECT_EQ(no_folder.error().kind, ErrorKind::kFailure);
  const auto unknown = quantize(folder / "in.gguf", folder / "out.gguf", "Q9_X");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().kind, ErrorKind::kFailure);
  EXPECT_FALSE(fs::exists(folder / "out.gguf"));
}

// An existing output is replaced when the new one is complete, and not before.
TEST(Pipeline, AFailedRunKeepsTheOldOutput) {
  const ScratchFolder folder;
  TinyModel model = make_model({});
  write_model(model, folder / "in.gguf");
  ASSERT_TRUE(quantize(folder / "in.gguf", folder / "out.gguf", "Q8_0").ok());
  const std::string old = hash_of(folder / "out.gguf");
  model.find("output_norm.weight").floats()[0] = std::numeric_limits<float>::quiet_NaN();
  write_model(model, folder / "bad.gguf");
  ASSERT_FALSE(quantize(folder / "bad.gguf", folder / "out.gguf", "Q4_0").ok());
  EXPECT_EQ(hash_of(folder / "out.gguf"), old);
  ASSERT_TRUE(quantize(folder / "in.gguf", folder / "out.gguf", "Q4_0").ok());
  EXPECT_NE(hash_of(folder / "out.gguf"), old);
}

}  // namespace
}  // namespace nibble
