// What the flags of `quantize` change: types, rows that do not fit, metadata, the report.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/log.h"
#include "quantize/pipeline.h"
#include "tests/support/tiny_model.h"

namespace nibble {
namespace {

using enum FormatId;
using testing::make_model;
using testing::ScratchFolder;
using testing::TinyModel;
using testing::TinyShape;
using testing::write_model;

const TensorPlan& find(const QuantizePlan& plan, std::string_view name) {
  const auto found = std::find_if(plan.tensors.begin(), plan.tensors.end(),
                                  [&](const TensorPlan& row) { return row.source.name == name; });
  CHECK(found != plan.tensors.end());
  return *found;
}

class Options : public ::testing::Test {
 protected:
  Result<QuantizePlan> plan(const TinyShape& shape, const QuantizeOptions& options) {
    write_model(make_model(shape), folder_ / "in.gguf");
    auto file = GgufFile::open(folder_ / "in.gguf");
    if (!file.ok()) return file.error();
    return plan_quantize(*file, options);
  }
  QuantizePlan plan_ok(const TinyShape& shape, const QuantizeOptions& options) {
    auto result = plan(shape, options);
    EXPECT_TRUE(result.ok()) << result.error().message;
    return result.ok() ? result.take() : QuantizePlan{};
  }
  void expect_error(const TinyShape& shape, const QuantizeOptions& options, ErrorKind kind,
                    std::initializer_list<const char*> parts) {
    const auto result = plan(shape, options);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind, kind);
    for (const char* part : parts) {
      EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
    }
  }

  ScratchFolder folder_;
};

TEST_F(Options, TypesOfSingleTensors) {
  const QuantizePlan plan =
      plan_ok({.tied = false},
              {.to = "Q4_0",
               .output_type = "q5_1",
               .embedding_type = "Q8_0",
               .tensor_types = {"blk\\.1\\.attn_v=Q6_K", "attn_v=Q5_K", "token_embd|output=F16"}});
  EXPECT_EQ(find(plan, "output.weight").chosen->id, Q5_1);
  EXPECT_EQ(find(plan, "token_embd.weight").chosen->id, Q8_0);
  EXPECT_EQ(find(plan, "blk.0.attn_v.weight").chosen->id, Q5_K);
  EXPECT_EQ(find(plan, "blk.1.attn_v.weight").chosen->id, Q6_K);
  EXPECT_EQ(find(plan, "blk.1.attn_output.weight").chosen->id, F16);  // "output" is in its name
  EXPECT_EQ(find(plan, "blk.1.attn_q.weight").chosen->id, Q4_0);
  EXPECT_TRUE(plan.warnings.empty());
  EXPECT_EQ(plan.n_substituted, 0);  // what was asked for is what was requested
}

TEST_F(Options, TypesOfSingleTensorsInAPlainRecipe) {
  const QuantizePlan plan = plan_ok({}, {.to = "F16", .tensor_types = {"ffn_down=Q8_0"}});
  EXPECT_EQ(find(plan, "blk.0.ffn_down.weight").chosen->id, Q8_0);
  EXPECT_EQ(find(plan, "blk.0.ffn_up.weight").chosen->id, F16);
}

TEST_F(Options, PureAndLeaveOutput) {
  const QuantizePlan pure = plan_ok({.tied = false}, {.to = "Q4_K_M", .pure = true});
  for (const TensorPlan& tensor : pure.tensors) {
    EXPECT_EQ(tensor.chosen->id, tensor.source.n_dims > 1 ? Q4_K : F32) << tensor.source.name;
  }
  const QuantizePlan left = plan_ok({.tied = false}, {.to = "Q4_K_M", .leave_output = true});
  EXPECT_EQ(find(left, "output.weight").chosen->id, F32);
  EXPECT_EQ(find(left, "token_embd.weight").chosen->id, Q4_K);
}

TEST_F(Options, WhatMatchesNothingIsWarnedOf) {
  const QuantizePlan plan = plan_ok(
      {}, {.to = "Q8_0", .tensor_types = {"blk\\.9\\.=Q6_K", "attn_norm=Q8_0", "attn_q=Q6_K"}});
  ASSERT_EQ(plan.warnings.size(), 2u);
  EXPECT_NE(plan.warnings[0].find("[--tensor-type blk\\.9\\.=Q6_K] matches no tensor"),
            std::string::npos)
      << plan.warnings[0];
  EXPECT_NE(plan.warnings[1].find("attn_norm=Q8_0] matches only tensors that keep their type"),
            std::string::npos)
      << plan.warnings[1];
  EXPECT_EQ(find(plan, "blk.0.attn_norm.weight").chosen->id, F32);
}

TEST_F(Options, ATypeThatATensorCannotTake) {
  const TinyShape narrow{.d_model = 576, .n_heads = 9, .n_kv_heads = 3};
  expect_error(narrow, {.to = "Q8_0", .tensor_types = {"blk.1.attn_q=Q4_K"}}, ErrorKind::kUsage,
               {"--tensor-type blk.1.attn_q=Q4_K", "blk.1.attn_q.weight cannot be Q4_K",
                "rows of 576 weights", "256", "Q8_0"});
  expect_error(narrow, {.to = "Q8_0", .embedding_type = "Q6_K"}, ErrorKind::kUsage,
               {"--token-embedding-type", "token_embd.weight cannot be Q6_K", "576"});
  const QuantizePlan plan = plan_ok(
      narrow,
      {.to = "Q8_0", .rows = RowPolicy::like_llama_cpp, .tensor_types = {"blk.1.attn_q=Q4_K"}});
  EXPECT_EQ(find(plan, "blk.1.attn_q.weight").chosen->id, Q5_0);
}

TEST_F(Options, FlagsThatCannotBe) {
  expect_error({}, {.to = "Q8_0", .output_type = "Q9"}, ErrorKind::kUsage,
               {"--output-tensor-type", "'Q9' is no type", "Q8_0"});
  expect_error({}, {.to = "Q8_0", .embedding_type = "IQ1_S"}, ErrorKind::kUsage,
               {"--token-embedding-type", "read but not written"});
  expect_error({}, {.to = "Q8_0", .tensor_types = {"("}}, ErrorKind::kUsage, {"--tensor-type"});
  expect_error({}, {.to = "Q8_0", .metadata = {"x"}}, ErrorKind::kUsage, {"--override-kv"});
  expect_error({}, {.to = "IQ3_M"}, ErrorKind::kFailure, {"known but not written", "Q3_K_M"});
}

TEST_F(Options, RowsThatDoNotFit) {
  const TinyShape narrow{.d_model = 576, .d_ff = 1536, .n_heads = 9, .n_kv_heads = 3};
  expect_error(
      narrow, {.to = "Q4_K_M", .rows = RowPolicy::strict}, ErrorKind::kUsage,
      {"in.gguf", "token_embd.weight cannot be Q6_K", "rows of 576 weights", "--strict", "Q8_0"});
  EXPECT_TRUE(plan(narrow, {.to = "Q8_0", .rows = RowPolicy::strict}).ok());
  const QuantizePlan ours = plan_ok(narrow, {.to = "Q4_K_M"});
  const QuantizePlan theirs = plan_ok(narrow, {.to = "Q4_K_M", .rows = RowPolicy::like_llama_cpp});
  EXPECT_EQ(find(ours, "blk.0.attn_q.weight").chosen->id, IQ4_NL);
  EXPECT_EQ(find(theirs, "blk.0.attn_q.weight").chosen->id, Q5_0);
  EXPECT_EQ(ours.requested_bits_per_weight, theirs.requested_bits_per_weight);
  EXPECT_LT(ours.bits_per_weight, theirs.bits_per_weight);
}

// Metadata is set before anything is decided: it may change the types, too.
TEST_F(Options, OverriddenMetadata) {
  const QuantizePlan plan =
      plan_ok({}, {.to = "Q4_K_M",
                   .metadata = {"llama.expert_count=int:8", "general.name=str:other",
                                "general.file_type=int:99", "x.we.do.not.know=bool:true"}});
  EXPECT_EQ(find(plan, "blk.0.attn_k.weight").chosen->id, Q8_0);  // as beside 8 experts
  EXPECT_EQ(plan.metadata.find("general.name")->as_string(), "other");
  EXPECT_EQ(plan.metadata.find("general.file_type")->as_uint(), 99u);
  EXPECT_EQ(plan.metadata.find("x.we.do.not.know")->as_bool(), true);
}

TEST_F(Options, CopyLeavesEverything) {
  const TinyModel model = make_model({.format = Q8_0});
  write_model(model, folder_ / "in.gguf");
  ThreadPool pool(2);
  const auto report =
      quantize_file(folder_ / "in.gguf", folder_ / "out.gguf",
                    {.to = "copy", .tensor_types = {"attn=F16"}}, pool, nullptr, nullptr);
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_EQ(report->plan.warnings.size(), 1u);
  EXPECT_NE(report->plan.warnings[0].find("COPY"), std::string::npos);
  const auto out = GgufFile::open(folder_ / "out.gguf");
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out->metadata().find("general.file_type")->as_uint(), 0u);  // as it was
  for (const auto& tensor : model.tensors) {
    const auto bytes = out->data(*out->find_tensor(tensor.name));
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), tensor.bytes.begin(), tensor.bytes.end()));
  }
  EXPECT_TRUE(worst_tensors(*report, 5).empty());
}

// The relative errors are those of the bytes in the file, and the same for any threads.
TEST_F(Options, RelativeErrors) {
  TinyModel model = make_model({.vocab_size = 4096});  // token_embd is several chunks
  // a tensor that is easy for Q4_0: eight times its code
  testing::TinyTensor& easy = model.find("blk.0.attn_q.weight");
  for (size_t i = 0; i < easy.bytes.size() / 4; ++i) {
    easy.floats()[i] = static_cast<float>(static_cast<int>(i % 16) - 8);
  }
  write_model(model, folder_ / "in.gguf");
  std::vector<double> first;
  for (const int n_threads : {1, 2, 3}) {
    ThreadPool pool(n_threads);
    const auto report = quantize_file(folder_ / "in.gguf", folder_ / "out.gguf",
                                      {.to = "Q4_0", .pure = true}, pool, nullptr, nullptr);
    ASSERT_TRUE(report.ok()) << report.error().message;
    if (n_threads > 1) {
      EXPECT_EQ(report->relative_errors, first);
      continue;
    }
    first = report->relative_errors;
    const auto out = GgufFile::open(folder_ / "out.gguf");
    ASSERT_TRUE(out.ok());
    for (size_t i = 0; i < model.tensors.size(); ++i) {
      const GgufTensor& written = out->tensors()[i];
      if (written.format->id == F32) {
        EXPECT_EQ(first[i], -1) << written.name;
        continue;
      }
      std::vector<float> decoded(static_cast<size_t>(written.n_elements()));
      written.format->decode(out->data(written).data(), decoded.data(), written.n_elements());
      double error = 0, weight = 0;
      for (size_t j = 0; j < decoded.size(); ++j) {
        const double w = model.tensors[i].floats()[j];
        error += (w - decoded[j]) * (w - decoded[j]);
        weight += w * w;
      }
      EXPECT_NEAR(first[i], std::sqrt(error / weight), 1e-12) << written.name;
    }
    const auto worst = worst_tensors(*report, 5);
    ASSERT_EQ(worst.size(), 5u);
    for (size_t i = 1; i < worst.size(); ++i) EXPECT_GE(first[worst[i - 1]], first[worst[i]]);
    EXPECT_EQ(worst[0],
              static_cast<size_t>(std::max_element(first.begin(), first.end()) - first.begin()));
    EXPECT_LT(first[2], 1e-6);  // the easy one
    EXPECT_GT(report->anonymous_bytes, 0);
    EXPECT_GE(report->resident_bytes, report->anonymous_bytes);
  }
}

}  // namespace
}  // namespace nibble
