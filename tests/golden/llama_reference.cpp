// Golden logits and greedy continuations from an engine that is not ours (llama.cpp).
//
//   llama_reference MODEL.gguf BACKEND_DIR TEXT PROMPTS.json OUT_LOGITS.bin OUT_GREEDY.json
//
// Settings that make it a reference: F32 weights (make_f32.py), f32 KV cache, no flash attention,
// one thread, no weight repacking. How to build and run it: README.md in this folder. It is not
// part of the build of the project.
//
// OUT_LOGITS.bin, little-endian, no padding:
//
//   "NBLGOLD1" | u32 n_positions | u32 vocab_size | u32 n_sampled | u32 zero
//   i32 tokens[n_positions]             the input, one sequence from position 0
//   i32 sampled_ids[n_sampled]          distinct, ascending, pseudo-random with a fixed seed
//   n_positions x {
//     f32 rms                           sqrt(mean(logit^2)) over the whole vocabulary
//     i32 argmax | f32 argmax_logit     lowest id at a tie
//     f32 top2_gap                      largest logit minus the second largest, >= 0
//     f32 logits[n_sampled] }           after the token of this position
//
// OUT_GREEDY.json: {"n_predict": 64, "prompts": [{"prompt": text, "prompt_ids": [...],
//   "continuation_ids": [...], "top2_gaps": [...]}]}; the generation never stops early.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "llama.h"

namespace {

constexpr int kPositions = 200;
constexpr int kSampled = 1024;
constexpr int kPredict = 64;
constexpr uint64_t kSeed = 0x6e6962626c65;  // "nibble"

struct Top {
  int32_t id;
  float logit, gap;
};

Top top_of(const float* logits, int n) {
  int best = 0;
  for (int i = 1; i < n; ++i) {
    if (logits[i] > logits[best]) best = i;
  }
  float second = -INFINITY;
  for (int i = 0; i < n; ++i) {
    if (i != best && logits[i] > second) second = logits[i];
  }
  return {best, logits[best], logits[best] - second};
}

uint64_t split_mix(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

std::string read_file(const char* path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(std::string("cannot read ") + path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<llama_token> tokenize(const llama_vocab* vocab, const std::string& text) {
  std::vector<llama_token> tokens(text.size() + 8);
  const int n = llama_tokenize(vocab, text.data(), static_cast<int32_t>(text.size()), tokens.data(),
                               static_cast<int32_t>(tokens.size()), true, false);
  if (n < 0) throw std::runtime_error("tokenizing failed");
  tokens.resize(static_cast<size_t>(n));
  return tokens;
}

// Feeds `tokens` from position `first` on. want_all: logits of every position, else of the last.
void feed(llama_context* context, const std::vector<llama_token>& tokens, int first,
          bool want_all) {
  const auto n = static_cast<int32_t>(tokens.size());
  llama_batch batch = llama_batch_init(n, 0, 1);
  batch.n_tokens = n;
  for (int i = 0; i < n; ++i) {
    batch.token[i] = tokens[static_cast<size_t>(i)];
    batch.pos[i] = first + i;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = want_all || i == n - 1;
  }
  const int status = llama_decode(context, batch);
  llama_batch_free(batch);
  if (status != 0) throw std::runtime_error("llama_decode failed");
}

template <typename T>
void put(std::ofstream& out, T value) {
  out.write(reinterpret_cast<const char*>(&value), sizeof(T));
}

void write_logits(llama_context* context, const llama_vocab* vocab, const char* text_path,
                  const char* out_path) {
  const int n_vocab = llama_vocab_n_tokens(vocab);
  auto tokens = tokenize(vocab, read_file(text_path));
  if (tokens.size() < kPositions) throw std::runtime_error("the text is too short");
  tokens.resize(kPositions);
  std::set<int32_t> sampled;
  for (uint64_t state = kSeed; sampled.size() < kSampled;) {
    sampled.insert(static_cast<int32_t>(split_mix(state) % static_cast<uint64_t>(n_vocab)));
  }
  llama_memory_clear(llama_get_memory(context), true);
  feed(context, tokens, 0, true);

  std::ofstream out(out_path, std::ios::binary);
  out.write("NBLGOLD1", 8);
  for (const int n : {kPositions, n_vocab, kSampled, 0}) put(out, static_cast<uint32_t>(n));
  for (const int32_t token : tokens) put(out, token);
  for (const int32_t id : sampled) put(out, id);
  for (int position = 0; position < kPositions; ++position) {
    const float* logits = llama_get_logits_ith(context, position);
    double sum = 0;
    for (int i = 0; i < n_vocab; ++i) sum += double{logits[i]} * double{logits[i]};
    const Top top = top_of(logits, n_vocab);
    put(out, static_cast<float>(std::sqrt(sum / n_vocab)));
    put(out, top.id);
    put(out, top.logit);
    put(out, top.gap);
    for (const int32_t id : sampled) put(out, logits[id]);
  }
  if (!out.flush()) throw std::runtime_error("cannot write the logits");
}

void write_greedy(llama_context* context, const llama_vocab* vocab, const char* prompts_path,
                  const char* out_path) {
  const int n_vocab = llama_vocab_n_tokens(vocab);
  nlohmann::ordered_json result = {{"n_predict", kPredict}, {"prompts", nlohmann::json::array()}};
  for (const std::string prompt : nlohmann::json::parse(read_file(prompts_path))) {
    const auto ids = tokenize(vocab, prompt);
    std::vector<llama_token> continuation;
    std::vector<double> gaps;
    llama_memory_clear(llama_get_memory(context), true);
    feed(context, ids, 0, false);
    while (continuation.size() < kPredict) {
      const Top top = top_of(llama_get_logits_ith(context, -1), n_vocab);
      const auto position = static_cast<int>(ids.size() + continuation.size());
      continuation.push_back(top.id);
      gaps.push_back(std::round(double{top.gap} * 1e5) / 1e5);
      feed(context, {top.id}, position, false);
    }
    result["prompts"].push_back(nlohmann::ordered_json{{"prompt", prompt},
                                                       {"prompt_ids", ids},
                                                       {"continuation_ids", continuation},
                                                       {"top2_gaps", gaps}});
  }
  std::ofstream out(out_path, std::ios::binary);
  out << "{\n\"n_predict\": " << kPredict << ",\n\"prompts\": [\n";
  const char* separator = "";
  for (const auto& entry : result["prompts"]) {
    out << separator << entry.dump();
    separator = ",\n";
  }
  out << "\n]\n}\n";
  if (!out.flush()) throw std::runtime_error("cannot write the continuations");
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 7) {
    std::fprintf(stderr, "see the head of the source for the arguments\n");
    return 2;
  }
  ggml_backend_load_all_from_path(argv[2]);
  llama_model_params model_params = llama_model_default_params();
  model_params.use_extra_bufts = false;
  llama_model* model = llama_model_load_from_file(argv[1], model_params);
  if (model == nullptr) throw std::runtime_error("the model does not load");
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 512;
  params.n_batch = 512;
  params.n_ubatch = 512;
  params.n_threads = 1;
  params.n_threads_batch = 1;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  params.type_k = GGML_TYPE_F32;
  params.type_v = GGML_TYPE_F32;
  llama_context* context = llama_init_from_model(model, params);
  if (context == nullptr) throw std::runtime_error("no context");
  const llama_vocab* vocab = llama_model_get_vocab(model);
  write_logits(context, vocab, argv[3], argv[5]);
  write_greedy(context, vocab, argv[4], argv[6]);
  llama_free(context);
  llama_model_free(model);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "llama_reference: %s\n", error.what());
  return 1;
}
