// Folders for tests: the tiny models of tests/golden/arch with a small tokenizer beside them.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/file.h"
#include "tests/support/arch_golden.h"

namespace nibble::testing {

// Byte-level BPE without merges: 95 printable characters, and <eos> with the id 95.
inline std::string small_tokenizer_json() {
  nlohmann::json vocab = nlohmann::json::object();
  for (int i = 0; i < 95; ++i) {
    // a space is spelled as the byte alphabet has it
    vocab[i == 0 ? std::string("\u0120") : std::string(1, static_cast<char>(32 + i))] = i;
  }
  const nlohmann::json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}};
  const nlohmann::json eos = {{"id", 95},        {"content", "<eos>"}, {"single_word", false},
                              {"lstrip", false}, {"rstrip", false},    {"normalized", false},
                              {"special", true}};
  const nlohmann::json json = {
      {"version", "1.0"},
      {"added_tokens", nlohmann::json::array({eos})},
      {"pre_tokenizer", byte_level},
      {"decoder", byte_level},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", nlohmann::json::array()}}}};
  return json.dump();
}

inline void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// `folder` is emptied first.
inline std::filesystem::path make_hf_folder(const std::filesystem::path& folder,
                                            const std::string& name) {
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  for (const char* file : {"config.json", "model.safetensors"}) {
    std::filesystem::copy_file(golden::arch_folder(name) / file, folder / file);
  }
  write_file(folder / "tokenizer.json", small_tokenizer_json());
  write_file(folder / "tokenizer_config.json",
             R"({"eos_token": "<eos>", "chat_template": "{{ messages[0].content }}"})");
  if (name.ends_with("bert")) {  // how sentence-transformers says what the embedding is
    std::filesystem::create_directories(folder / "1_Pooling");
    write_file(folder / "modules.json", R"([{"type": "models.Transformer", "path": ""},)"
                                        R"( {"type": "models.Pooling", "path": "1_Pooling"}])");
    write_file(folder / "1_Pooling" / "config.json", R"({"pooling_mode_mean_tokens": true})");
  }
  return folder;
}

// Rewrites config.json.
template <typename Edit>
void edit_config(const std::filesystem::path& folder, Edit edit) {
  auto config = nlohmann::json::parse(read_text_file(folder / "config.json").take());
  edit(config);
  write_file(folder / "config.json", config.dump());
}

}  // namespace nibble::testing
