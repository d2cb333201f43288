// Folders that are wrong, and weights in other types.
#include "model/hf_import.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "container/safetensors.h"
#include "model/hf_rows.h"
#include "model/source.h"
#include "tests/base/scratch.h"
#include "tests/support/hf_folder.h"

namespace nibble {
namespace {

using nlohmann::json;
using Edit = std::function<void(json&)>;

class HfImport : public ::testing::Test {
 protected:
  HfImport() { make("llama_linear"); }
  void make(const std::string& name) {
    folder_ = testing::make_hf_folder(test::scratch_folder() / "model", name);
  }
  // The header of model.safetensors, edited; the data as it is.
  void edit_header(const Edit& edit) {
    const auto path = folder_ / "model.safetensors";
    const std::string file = read_text_file(path).take();
    uint64_t length;
    std::memcpy(&length, file.data(), 8);
    json header = json::parse(file.substr(8, length));
    edit(header);
    const std::string text = header.dump();
    const uint64_t new_length = text.size();
    std::string head(8, '\0');
    std::memcpy(head.data(), &new_length, 8);
    testing::write_file(path, head + text + file.substr(8 + length));
  }
  void expect(ErrorKind kind, std::string_view part) {
    const auto source = open_folder(folder_);
    ASSERT_FALSE(source.ok()) << part;
    EXPECT_EQ(source.error().kind, kind) << source.error().message;
    EXPECT_NE(source.error().message.find(part), std::string::npos) << source.error().message;
  }
  std::filesystem::path folder_;
};

TEST_F(HfImport, TensorsMissingExtraAndOfAnotherShape) {
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  edit_header([&](json& header) {
    header["model.layers.9.mlp.up_proj.weight"] = header[name];
    header.erase(name);
  });
  expect(ErrorKind::kInvalid, name + " is missing");
  make("llama_linear");
  testing::edit_config(folder_, [](json& config) { config["num_hidden_layers"] = 1; });
  expect(ErrorKind::kInvalid, "no rule");
  make("llama_linear");
  testing::edit_config(folder_, [](json& config) { config["intermediate_size"] = 96; });
  expect(ErrorKind::kInvalid, "follows from config.json");
  make("llama_linear");
  testing::edit_config(folder_, [](json& config) { config["vocab_size"] = 97; });
  expect(ErrorKind::kInvalid, "follows from config.json");
}

// Every number of config.json in each of these: an error, or a model; never anything else.
TEST_F(HfImport, EveryNumberOfTheConfiguration) {
  int n_refused = 0;
  for (const char* name : {"llama_linear", "mixtral", "qwen3moe", "gemma3", "phi3_longrope",
                           "gptneox", "gpt2", "bert", "nomic_bert"}) {
    make(name);
    const json original = json::parse(read_text_file(folder_ / "config.json").take());
    for (const auto& [key, value] : original.items()) {
      for (const json& other : {json(0), json(-1), json(2147483648u), json(1e308), json("x"),
                                json(nullptr), json::array({1}), json::object({{"a", 1}})}) {
        testing::edit_config(folder_, [&, k = key](json& config) {
          config = original;
          config[k] = other;
        });
        const auto source = open_folder(folder_);
        n_refused += !source.ok();
        if (!source.ok()) {
          EXPECT_FALSE(source.error().message.empty());
        }
        const bool must_fail = value.is_number_integer() && (other == -1 || other == "x") &&
                               !key.ends_with("token_id");
        if (must_fail) {
          EXPECT_FALSE(source.ok()) << name << " " << key << " " << other;
        }
      }
    }
  }
  EXPECT_GT(n_refused, 300);
}

TEST_F(HfImport, KeysThatMayChangeTheArithmeticAreNamed) {
  testing::edit_config(folder_, [](json& config) {
    config["logit_scale"] = 0.5;
    config["another"] = true;
    config["use_cache"] = true;
  });
  expect(ErrorKind::kFailure, "\"another\", \"logit_scale\"");
  const std::pair<const char*, json> rows[] = {
      {"hidden_act", "relu"},
      {"architectures", {"UnknownForCausalLM"}},
      {"num_attention_heads", 3},
      {"num_key_value_heads", 3},
      {"rope_scaling", {{"type", "ntk"}, {"factor", 2.0}}},
      {"rope_scaling", {{"type", "linear"}, {"factor", 2.0}, {"partial_rotary_factor", 0.5}}},
      {"rope_scaling",
       {{"type", "dynamic"}, {"factor", 2.0}, {"original_max_position_embeddings", 8}}},
      {"rope_parameters", {{"rope_type", "default"}}}};  // beside another rope_scaling
  for (const auto& [key, value] : rows) {
    make("llama_linear");
    testing::edit_config(folder_, [&, k = key, v = value](json& config) { config[k] = v; });
    EXPECT_FALSE(open_folder(folder_).ok()) << key;
  }
  make("llama_linear");
  testing::edit_config(folder_, [](json& config) { config["architectures"] = {"Foo"}; });
  expect(ErrorKind::kFailure, "'Foo'");
  for (const char* method : {"gptq", "awq", "bitsandbytes"}) {
    make("llama_linear");
    testing::edit_config(folder_, [&](json& config) {
      config["quantization_config"] = {{"quant_method", method}};
    });
    expect(ErrorKind::kFailure, method);
  }
}

// As published configurations have them.
TEST_F(HfImport, KeysWithoutEffect) {
  const std::pair<const char*, json> rows[] = {
      {"llama_linear", {{"max_sequence_length", 64}, {"_num_labels", 2}, {"output_past", true}}},
      {"phi3",
       {{"full_attn_mod", 1},
        {"interpolate_factor", 1},
        {"lm_head_bias", false},
        {"mlp_bias", false}}},
      {"gpt2", {{"n_special", 0}, {"predict_special_tokens", true}}}};
  for (const auto& [name, keys] : rows) {
    make(name);
    testing::edit_config(folder_, [&, k = keys](json& config) { config.update(k); });
    const auto source = open_folder(folder_);
    EXPECT_TRUE(source.ok()) << source.error().message;
  }
  make("phi3");
  testing::edit_config(folder_, [](json& config) { config["lm_head_bias"] = true; });
  expect(ErrorKind::kFailure, "lm_head_bias");
}

// Llama's classes do not read it; Mistral's do.
TEST_F(HfImport, SlidingWindowOfLlama) {
  const auto window = [&](const char* class_name) {
    make("llama_linear");
    testing::edit_config(folder_, [&](json& config) {
      config["architectures"] = {class_name};
      config["sliding_window"] = 40;
    });
    const auto source = open_folder(folder_);
    EXPECT_TRUE(source.ok()) << source.error().message;
    const GgufValue* value = (*source)->metadata().find("llama.attention.sliding_window");
    return value != nullptr ? value->as_int().value_or(-1) : 0;
  };
  EXPECT_EQ(window("LlamaForCausalLM"), 0);
  EXPECT_EQ(window("MistralForCausalLM"), 40);
}

TEST_F(HfImport, AFolderWithoutTokenizer) {
  std::filesystem::remove(folder_ / "tokenizer.json");
  expect(ErrorKind::kNotFound, "tokenizer.json");
}

TEST_F(HfImport, FoldersFromBeforeTokenizerJson) {
  const json document = json::parse(testing::small_tokenizer_json());
  const auto expected = *(*open_folder(folder_))->metadata().find("tokenizer.ggml.tokens");
  std::filesystem::remove(folder_ / "tokenizer.json");
  testing::write_file(folder_ / "vocab.json", document["model"]["vocab"].dump());
  expect(ErrorKind::kNotFound, "merges.txt] is missing");
  testing::write_file(folder_ / "merges.txt", "#version: 0.2\n");
  testing::write_file(folder_ / "added_tokens.json", R"({"<eos>": 95})");
  expect(ErrorKind::kFailure, "tokenizer_class");
  testing::write_file(folder_ / "tokenizer_config.json", R"({"tokenizer_class": "GPT2Tokenizer"})");
  auto source = open_folder(folder_);
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_TRUE(*(*source)->metadata().find("tokenizer.ggml.tokens") == expected);
  EXPECT_EQ((*source)->metadata().find("tokenizer.ggml.pre")->as_string(), "gpt-2");
  make("bert");
  std::filesystem::remove(folder_ / "tokenizer.json");
  std::filesystem::remove(folder_ / "tokenizer_config.json");
  testing::write_file(folder_ / "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nword\n##s\n");
  source = open_folder(folder_);
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ((*source)->metadata().find("tokenizer.ggml.model")->as_string(), "bert");
  EXPECT_EQ((*source)->metadata().find("tokenizer.ggml.cls_token_id")->as_uint(), 2u);
}

// Files with holes, longer than any real one, in the place of each.
TEST_F(HfImport, FilesOfTwoGiB) {
  const std::pair<const char*, ErrorKind> rows[] = {{"config.json", ErrorKind::kInvalid},
                                                    {"tokenizer.json", ErrorKind::kInvalid},
                                                    {"tokenizer.model", ErrorKind::kInvalid},
                                                    {"tokenizer_config.json", ErrorKind::kInvalid},
                                                    {"generation_config.json", ErrorKind::kInvalid},
                                                    {"chat_template.jinja", ErrorKind::kInvalid},
                                                    {"modules.json", ErrorKind::kInvalid}};
  for (const auto& [name, kind] : rows) {
    make("llama_linear");
    testing::write_file(folder_ / name, "{");
    std::error_code failed;
    std::filesystem::resize_file(folder_ / name, (uint64_t{1} << 31) + 1, failed);
    if (failed) GTEST_SKIP() << "no files of that size here";
    expect(kind, name);
  }
  make("llama_linear");
  testing::write_file(folder_ / "README.md", "---\nname: x\n");
  std::filesystem::resize_file(folder_ / "README.md", (uint64_t{1} << 31) + 1);
  const auto source = open_folder(folder_);
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ((*source)->metadata().find("general.name")->as_string(), "Model");
}

TEST_F(HfImport, OneFileIsNoModel) {
  const auto source = open_source(folder_ / "model.safetensors");
  ASSERT_FALSE(source.ok());
  EXPECT_EQ(source.error().kind, ErrorKind::kUsage);
}

TEST_F(HfImport, ChatTemplateAndName) {
  const auto source = open_folder(folder_);
  ASSERT_TRUE(source.ok()) << source.error().message;
  const GgufMetadata& metadata = (*source)->metadata();
  EXPECT_EQ(metadata.find("tokenizer.chat_template")->as_string(), "{{ messages[0].content }}");
  EXPECT_EQ(metadata.find("general.name")->as_string(), "Model");
  testing::write_file(folder_ / "chat_template.jinja", "own");
  EXPECT_EQ((*open_folder(folder_))->metadata().find("tokenizer.chat_template")->as_string(),
            "own");
}

TEST(HfRowsTest, TheTwoWaysUndoEachOther) {
  for (const HfTransform transform :
       {HfTransform::pair_q, HfTransform::pair_k, HfTransform::regroup_qkv, HfTransform::none}) {
    const int64_t head_dim = 8, n_rows = 3 * 5 * head_dim;
    for (int64_t row = 0; row < n_rows; ++row) {
      const int64_t there = gguf_row(transform, row, n_rows, head_dim);
      EXPECT_EQ(folder_row(transform, there, n_rows, head_dim), row);
    }
  }
  EXPECT_EQ(folder_row(HfTransform::pair_q, 9, 16, 8), 12);  // head 1, pair 0, second half
}

}  // namespace
}  // namespace nibble
