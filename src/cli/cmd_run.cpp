// nibble run: a prompt continued once, or a conversation (cmd_run_chat.cpp).
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <random>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/cache_types.h"
#include "cli/chat_timeline.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/run_options.h"
#include "cli/terminal.h"
#include "container/printable.h"

namespace nibble {
namespace {

constexpr int64_t kMaxCount = std::numeric_limits<int32_t>::max();
constexpr double kMaxFactor = 100;

Error interrupted_error() { return make_error(ErrorKind::kInterrupted, "[run] interrupted"); }

// The prompt of -p, or of -f without the newline that editors put at the end of a file.
Result<std::string> prompt_text(const RunOptions& options) {
  if (options.prompt) return *options.prompt;
  ASSIGN_OR_RETURN(std::string text, read_text_file(*options.file));
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

Status run_once(const RunOptions& options, const std::string& prompt, const Engine& engine,
                const ChatTemplate& chat_template, Session& session, Sampler& sampler) {
  std::vector<int32_t> timeline;
  if (options.raw) {
    timeline = raw_prompt(engine.tokenizer(), prompt, options.special);
    if (timeline.empty()) {
      return make_error(ErrorKind::kUsage,
                        "[prompt] is empty, and [{}] begins without a BOS; give some text",
                        options.model);
    }
  } else {
    ChatTimeline chat(engine.tokenizer(), chat_template, options.system);
    RETURN_IF_ERROR(chat.begin_turn(prompt));
    timeline = std::move(chat.tokens());
  }
  ModelOutput output;
  const auto stats = generate(
      engine, session, timeline, sampler, options.generate,
      [&](std::string_view text) { output.write(text); }, &interrupted());
  RETURN_IF_ERROR(output.status());
  if (!stats.ok()) return stats.error();
  if (output.on_terminal()) output.end_line(false);
  fmt::print(stderr, "{}",
             format_statistics(*stats, engine.info().load_ms, process_memory().peak_resident,
                               options.sampler.seed));
  if (stats->reason == StopReason::kContextFull) {
    fmt::print(stderr, "stopped: the context of {} tokens is full; raise it with -c\n",
               session.n_ctx());
  }
  if (stats->reason == StopReason::kInterrupted) return interrupted_error();
  return {};
}

Status run_model(RunOptions options) {
  const bool once = options.prompt || options.file;
  std::string prompt;
  if (once) {
    ASSIGN_OR_RETURN(prompt, prompt_text(options));
  }
  options.sampler.seed = options.seed >= 0 ? static_cast<uint64_t>(options.seed)
                                           : static_cast<uint64_t>(std::random_device{}());
  options.engine.key_type = cache_type(options.key_type);
  options.engine.value_type = cache_type(options.value_type);
  if (options.float_activations) options.engine.activations = ActivationMode::kFloat;

  ASSIGN_OR_RETURN(const auto engine, Engine::load(options.model, options.engine));
  ASSIGN_OR_RETURN(const auto session, engine->new_session());
  if (interrupted()) return interrupted_error();
  ChatTemplateSource source;
  if (!options.raw) {
    ASSIGN_OR_RETURN(source, load_chat_template(options.model));
    if (source.text.empty() && engine->tokenizer().find("<|im_start|>") < 0) {
      warn(
          "[{}] has neither a chat template nor the token <|im_start|>: it may not know the format "
          "of conversations used then (ChatML) and answer oddly; --raw -p TEXT continues a text as "
          "it is",
          options.model);
    }
  }
  auto chat_template = ChatTemplate::create(std::move(source));
  if (!chat_template.ok()) {
    return make_error(chat_template.error().kind,
                      "[{}] {}; --raw -p TEXT continues a text without it", options.model,
                      chat_template.error().message);
  }
  if (options.sampler.repeat_last_n < 0) {
    options.sampler.repeat_last_n = static_cast<int32_t>(session->n_ctx());
  }
  Sampler sampler(options.sampler, engine->info().vocab_size);
  if (once) return run_once(options, prompt, *engine, *chat_template, *session, sampler);
  return run_chat(options, *engine, *chat_template, *session, sampler);
}

// CLI::Range lets "nan" pass, which compares as not outside of anything.
template <typename T>
CLI::Validator between(const char* kind, T low, T high) {
  return CLI::Validator(
      [=](std::string& text) -> std::string {
        T value{};
        if (CLI::detail::lexical_cast(text, value) && value >= low && value <= high) return "";
        return fmt::format("{} is no {} from {} to {}", text, kind, low, high);
      },
      fmt::format("{} to {}", low, high));
}

CLI::Validator number_between(double low, double high) { return between("number", low, high); }
CLI::Validator count_between(int64_t low, int64_t high) {
  return between("whole number", low, high);
}

void add_model_flags(CLI::App& verb, RunOptions& options) {
  verb.add_option(
          "-c,--ctx-size", options.engine.n_ctx,
          fmt::format("Context in tokens (default: the model's own, at most {})", kDefaultContext))
      ->check(count_between(1, kMaxCount));
  add_threads_flag(verb, options.engine.n_threads);
  verb.add_option("-b,--batch-size", options.engine.n_batch,
                  "Tokens read at once from a prompt (default: 512)")
      ->check(count_between(1, 1 << 20));
  verb.add_option("--cache-type-k", options.key_type, "Type of cached keys (short: -ctk)")
      ->check(is_cache_type());
  verb.add_option("--cache-type-v", options.value_type, "Type of cached values (short: -ctv)")
      ->check(is_cache_type());
  verb.add_flag("--mmap", options.engine.mapped_weights,
                "Leave the weights in the pages of the file: ready sooner, no memory of their own, "
                "slower to compute with");
  verb.add_flag("--float-activations", options.float_activations,
                "Keep activations in float32 instead of 8 bits (slower, exact)");
}

void add_sampler_flags(CLI::App& verb, RunOptions& options) {
  SamplerOptions& sampler = options.sampler;
  verb.add_option("--temp", sampler.temperature,
                  "Temperature (default: 0.8; 0: always the most probable token)")
      ->check(number_between(0, kMaxFactor));
  verb.add_option("--top-k", sampler.top_k, "Choose among so many tokens (default: 40; 0: all)")
      ->check(count_between(0, kMaxCount));
  verb.add_option("--top-p", sampler.top_p,
                  "Choose among the tokens that together have this probability (default: 0.95)")
      ->check(number_between(0, 1));
  verb.add_option("--min-p", sampler.min_p,
                  "Leave out tokens below this fraction of the most probable (default: 0.05)")
      ->check(number_between(0, 1));
  verb.add_option("--repeat-penalty", sampler.repeat_penalty,
                  "Make repeated tokens less likely (default: 1, off)")
      ->check(number_between(0.01, kMaxFactor));
  verb.add_option("--repeat-last-n", sampler.repeat_last_n,
                  "Tokens the penalty looks back (default: 64; -1: the whole context)")
      ->check(count_between(-1, kMaxCount));
  verb.add_option("-s,--seed", options.seed, "Seed of the random choice (default: -1, random)")
      ->check(count_between(-1, std::numeric_limits<int64_t>::max()));
}

}  // namespace

std::string format_statistics(const GenerateStats& stats, double load_ms, int64_t peak_bytes,
                              uint64_t seed) {
  const auto per_second = [](int64_t tokens, double ms) {
    return ms > 0 ? static_cast<double>(tokens) / ms * 1000 : 0;
  };
  return fmt::format(
      "prompt: {} tokens, {} computed, {:.2f} tokens/s\n"
      "answer: {} tokens, {:.2f} tokens/s\n"
      "load: {:.0f} ms; memory peak: {}; seed: {}\n",
      stats.prompt_tokens, stats.computed_tokens,
      per_second(stats.computed_tokens, stats.prompt_ms), stats.generated_tokens,
      per_second(stats.generated_tokens, stats.generate_ms), load_ms,
      human_bytes(static_cast<double>(peak_bytes)), seed);
}

void add_run(CLI::App& app, Command& command) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* verb = app.add_subcommand("run", "Chat with a model, or let it continue a text");
  verb->add_option("MODEL", options->model, "The model: a GGUF file, or a Hugging Face folder")
      ->required();
  auto* prompt = verb->add_option("-p,--prompt", options->prompt,
                                  "Answer this and end (default: a conversation)");
  verb->add_option("-f,--file", options->file, "Read the prompt from a file")->excludes(prompt);
  verb->add_option("-n,--n-predict", options->generate.max_tokens,
                   "Tokens of an answer at most (default: -1, until the model ends)")
      ->check(count_between(-1, kMaxCount));
  auto* raw = verb->add_flag("--raw", options->raw,
                             "Continue the prompt as it is, not as a message of a conversation");
  verb->add_flag("--special", options->special,
                 "Let special tokens spelled in a raw prompt become those tokens")
      ->needs(raw);
  verb->add_option("--system", options->system, "The system message of the conversation")
      ->excludes(raw);
  add_model_flags(*verb, *options);
  add_sampler_flags(*verb, *options);
  verb->callback([options, &command] {
    if (options->raw && !options->prompt && !options->file) {
      throw CLI::ValidationError("--raw", "needs a prompt: -p TEXT or -f FILE");
    }
    command.run = [options] { return run_model(*options); };
  });
}

}  // namespace nibble
