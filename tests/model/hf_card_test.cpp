// What folders and files say about a model beside its arithmetic.
#include "model/hf_card.h"

#include <gtest/gtest.h>

#include "model/front_matter.h"
#include "model/hf_export.h"
#include "model/hf_import.h"
#include "model/hf_model_id.h"
#include "tests/base/scratch.h"
#include "tests/support/hf_folder.h"

namespace nibble {
namespace {

using nlohmann::json;

struct NameCase {
  const char* id;
  double n_params;
  const char *organization, *basename, *finetune, *version, *size_label, *title;
};

TEST(ModelId, IsTakenApart) {
  const NameCase cases[] = {
      {"HuggingFaceTB/smollm2-135M-8k-lc100k-mix1-ep2", 134.5e6, "HuggingFaceTB", "smollm2",
       "8k-lc100k-mix1-ep2", "", "135M", "Smollm2 135M 8k Lc100K Mix1 Ep2"},
      {"Mistral-7B-Instruct-v0.3", 7.2e9, "", "Mistral", "Instruct", "v0.3", "7B",
       "Mistral 7B Instruct v0.3"},
      {"mistralai/Mixtral-8x7B-v0.1", 47e9, "mistralai", "Mixtral", "", "v0.1", "8x7B",
       "Mixtral 8x7B v0.1"},
      {"Meta-Llama-3-8B", 8e9, "", "Meta-Llama-3", "", "", "8B", "Meta Llama 3 8B"},
      {"Phi-3-mini-4k-instruct", 3.8e9, "", "Phi-3", "4k-instruct", "", "mini",
       "Phi 3 Mini 4k Instruct"},
      {"bloom-7b1", 7.1e9, "", "bloom", "", "", "7.1B", "Bloom 7b1"},
      {"all-MiniLM-L6-v2", 22e6, "", "all-MiniLM-L6", "", "v2", "", "All MiniLM L6 v2"},
      {"Qwen3-30B-A3B", 30e9, "", "Qwen3", "", "", "30B-A3B", "Qwen3 30B A3B"},
      {"gemma-2-2b-it", 2.6e9, "", "gemma-2", "it", "", "2B", "Gemma 2 2b It"},
      {"tiny", 1e6, "", "", "", "", "", "Tiny"},
      {"model-Q4_K_M-F16", 1e6, "", "", "", "", "", "Model Q4_K_M F16"},
      {"./here", 1e6, "", "", "", "", "", "Here"},
      {"A model of mine", 1e6, "", "", "", "", "", "A Model Of Mine"},
      {"", 1e6, "", "", "", "", "", ""},
      {"---", 1e6, "", "", "", "", "", ""}};
  for (const NameCase& row : cases) {
    const ModelIdParts parts = split_model_id(row.id, row.n_params);
    EXPECT_EQ(parts.organization, row.organization) << row.id;
    EXPECT_EQ(parts.basename, row.basename) << row.id;
    EXPECT_EQ(parts.finetune, row.finetune) << row.id;
    EXPECT_EQ(parts.version, row.version) << row.id;
    EXPECT_EQ(parts.size_label, row.size_label) << row.id;
    EXPECT_EQ(title_of(parts.name), row.title) << row.id;
  }
}

TEST(FrontMatter, ReadsWhatCardsUse) {
  const json head = read_front_matter(
      "---\r\nlicense: apache-2.0   # a comment\nlanguage:\n- en\n- no\n\n- 'it''s'\n"
      "tags: [a, \"b\", c d]\nversion: 1.0\nname: \"x: \\u20ac\"\nempty:\nnothing: ~\n"
      "description: >-\n  two\n  lines\nkept: |\n  a\n  b\nbase_model:\n  - name: n\n"
      "    version: 2\n  - plain\nnested:\n  inner: 1\nmodel-index: &x 3\njson: {\"a\": [1]}\n"
      "url: https://x.y/z\n---\nname: text\n");
  EXPECT_EQ(head["license"], "apache-2.0");
  EXPECT_EQ(head["language"], json({"en", "no", "it's"}));
  EXPECT_EQ(head["tags"], json({"a", "b", "c d"}));
  EXPECT_EQ(head["version"], "1.0");
  EXPECT_EQ(head["name"], "x: \u20ac");
  EXPECT_TRUE(head["empty"].is_null());
  EXPECT_TRUE(head["nothing"].is_null());
  EXPECT_EQ(head["description"], "two lines");
  EXPECT_EQ(head["kept"], "a\nb");
  EXPECT_EQ(head["base_model"][0], json({{"name", "n"}, {"version", "2"}}));
  EXPECT_EQ(head["base_model"][1], "plain");
  EXPECT_TRUE(head["nested"].is_null());
  EXPECT_FALSE(head.contains("inner"));
  EXPECT_TRUE(head["model-index"].is_null());
  EXPECT_EQ(head["json"]["a"][0], 1);
  EXPECT_EQ(head["url"], "https://x.y/z");
}

TEST(FrontMatter, AnyTextIsSomething) {
  for (const char* text :
       {"", "---", "---\n", "no head\n---\na: b\n---\n", "---\n---\n", "---\n:\n", "---\n- a\n",
        "---\na: [\nb: ]\n", "---\na: \"\\", "---\na: '", "---\na: [[["}) {
    EXPECT_TRUE(read_front_matter(text).is_object()) << text;
  }
  EXPECT_FALSE(read_front_matter("no head\n---\na: b\n---\n").contains("a"));
  EXPECT_EQ(read_front_matter("---\na: b")["a"], "b");
  EXPECT_TRUE(read_front_matter("---\n" + std::string(100'000, '[')).empty());
  EXPECT_TRUE(read_front_matter("---\na: " + std::string(100'000, '['))["a"].is_null());
  EXPECT_TRUE(read_front_matter("---\na: " + std::string(100'000, '{'))["a"].is_null());
}

class HfCard : public ::testing::Test {
 protected:
  HfCard() {
    folder_ = testing::make_hf_folder(test::scratch_folder() / "tiny-2K-Chat", "llama_linear");
  }
  GgufMetadata metadata() {
    auto source = open_folder(folder_);
    EXPECT_TRUE(source.ok()) << source.error().message;
    return (*source)->metadata();
  }
  std::string text(std::string_view key) {
    const GgufMetadata all = metadata();
    const GgufValue* value = all.find(key);
    return value == nullptr ? "(absent)" : std::string(value->as_string().value_or("(no text)"));
  }
  std::filesystem::path folder_;
};

TEST_F(HfCard, TheCardThenTheConfigurationThenTheFolder) {
  EXPECT_EQ(text("general.name"), "Tiny 2K Chat");
  EXPECT_EQ(text("general.basename"), "tiny");
  EXPECT_EQ(text("general.finetune"), "2k-Chat");  // far from the true size: a context
  EXPECT_EQ(text("general.organization"), "(absent)");
  testing::edit_config(folder_, [](json& config) { config["_name_or_path"] = "some-org/else-v2"; });
  EXPECT_EQ(text("general.name"), "Else v2");
  EXPECT_EQ(text("general.organization"), "Some Org");
  EXPECT_EQ(text("general.version"), "v2");
  EXPECT_EQ(text("general.finetune"), "2k-Chat");
  testing::write_file(folder_ / "README.md",
                      "---\nname: By hand\nlicense: [mit, other]\nlanguage: en\ntags:\n- a\n"
                      "pipeline_tag: text-generation\nbase_model: o-rg/Base-1B-v3\n---\n");
  EXPECT_EQ(text("general.name"), "By hand");
  EXPECT_EQ(text("general.version"), "v2");
  EXPECT_EQ(text("general.license"), "mit,other");
  EXPECT_EQ(text("general.base_model.0.name"), "Base 1B v3");
  EXPECT_EQ(text("general.base_model.0.organization"), "O Rg");
  EXPECT_EQ(text("general.base_model.0.version"), "v3");
  EXPECT_EQ(metadata().find("general.base_model.count")->as_uint(), 1u);
  EXPECT_EQ(*metadata().find("general.tags")->as_strings(),
            (std::vector<std::string>{"a", "text-generation"}));
  EXPECT_EQ(*metadata().find("general.languages")->as_strings(), (std::vector<std::string>{"en"}));
  // a path of another machine is no name
  testing::edit_config(folder_, [](json& config) { config["_name_or_path"] = "/home/me/x-v9"; });
  EXPECT_EQ(text("general.version"), "(absent)");
}

TEST_F(HfCard, ACardThatCannotBeReadSaysNothing) {
  testing::write_file(folder_ / "README.md", "---\nname: \"\xff\"\nlicense: {a\ntags: 3\n---\n");
  EXPECT_EQ(text("general.name"), "Tiny 2K Chat");
  EXPECT_EQ(text("general.license"), "(absent)");
  std::filesystem::remove(folder_ / "README.md");
  std::filesystem::create_directory(folder_ / "README.md");
  EXPECT_EQ(text("general.name"), "Tiny 2K Chat");
}

// Everything a folder can say, from a file to a folder and back.
TEST_F(HfCard, ThereAndBack) {
  const auto gguf = folder_ / "full.gguf", out = folder_ / "out";
  const std::vector<std::string> tags = {"a: b", "no", "c \"d\" \\"};
  golden::write_edited(
      golden::arch_folder("llama_linear") / "model.gguf",
      [&](GgufMetadata& metadata) {
        for (const char* key :
             {"name", "author", "version", "organization", "finetune", "basename", "description",
              "size_label", "license", "license.name", "license.link", "source.url", "source.doi",
              "source.uuid", "source.repo_url", "base_model.0.name", "base_model.0.repo_url",
              "base_model.1.organization", "dataset.0.name"}) {
          metadata.set(std::string("general.") + key,
                       GgufValue::of_string(std::string("The: \"") + key + "\"\n# 1.0 \u20ac"));
        }
        metadata.set("general.base_model.count", GgufValue::of_uint32(2));
        metadata.set("general.dataset.count", GgufValue::of_uint32(1));
        metadata.set("general.tags", GgufValue::of_strings(tags));
        metadata.set("general.languages", GgufValue::of_strings(std::vector<std::string>{"no"}));
        metadata.set("general.sampling.top_k", GgufValue::of_int32(40));
        metadata.set("general.sampling.temp", GgufValue::of_float32(0.7f));
        metadata.set("general.sampling.penalty_repeat", GgufValue::of_float32(1.1f));
        metadata.set("general.quantized_by", GgufValue::of_string("somebody"));
        metadata.set("tokenizer.ggml.add_space_prefix", GgufValue::of_bool(false));
      },
      gguf);
  const GgufFile file = GgufFile::open(gguf).take();
  ThreadPool pool(1);
  const auto report = export_folder(file, out, {}, pool, nullptr, nullptr);
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_EQ(report->warnings.size(), 1u);
  EXPECT_NE(report->warnings[0].find("general.quantized_by"), std::string::npos);
  const auto back = open_folder(out);
  ASSERT_TRUE(back.ok()) << back.error().message;
  int n_compared = 0;
  for (const auto& [key, value] : file.metadata().entries()) {
    const bool is_kept = key.starts_with("general.") || key == "tokenizer.ggml.add_space_prefix";
    if (!is_kept || key == "general.quantized_by" || key == "general.file_type" ||
        key == "general.quantization_version" || key == "general.alignment") {
      continue;
    }
    const GgufValue* other = (*back)->metadata().find(key);
    ASSERT_NE(other, nullptr) << key;
    EXPECT_TRUE(value == *other) << key;
    ++n_compared;
  }
  EXPECT_GE(n_compared, 27);
}

// SentencePiece keeps in its own file whether a space goes first.
TEST_F(HfCard, TheSpaceBeforeATextOfSentencePieceSurvives) {
  for (const bool adds : {true, false}) {
    const auto gguf = folder_ / "pieces.gguf", out = folder_ / (adds ? "with" : "without");
    golden::write_edited(
        golden::arch_folder("llama_linear") / "model.gguf",
        [&](GgufMetadata& metadata) {
          const size_t n = metadata.find("tokenizer.ggml.tokens")->count();
          metadata.set("tokenizer.ggml.model", GgufValue::of_string("llama"));
          metadata.set("tokenizer.ggml.scores",
                       GgufValue::of_float32s(std::vector<float>(n, -1.0f)));
          metadata.set("tokenizer.ggml.add_space_prefix", GgufValue::of_bool(adds));
        },
        gguf);
    const GgufFile file = GgufFile::open(gguf).take();
    ThreadPool pool(1);
    const auto report = export_folder(file, out, {}, pool, nullptr, nullptr);
    ASSERT_TRUE(report.ok()) << report.error().message;
    const auto back = open_folder(out);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ((*back)->metadata().find("tokenizer.ggml.add_space_prefix")->as_bool(), adds);
    EXPECT_EQ((*back)->metadata().find("tokenizer.ggml.model")->as_string(), "llama");
  }
}

}  // namespace
}  // namespace nibble
