// nibble inspect: what is in a file, and what running it needs.
#include <cstdio>
#include <memory>

#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/progress.h"
#include "container/gguf.h"
#include "container/printable.h"
#include "engine/engine.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string path;
  bool json = false;
};

struct Totals {
  int64_t n_params = 0, tensor_bytes = 0;
  double bits_per_weight() const {
    return n_params == 0 ? 0
                         : 8.0 * static_cast<double>(tensor_bytes) / static_cast<double>(n_params);
  }
};

Totals totals_of(const ModelSource& file) {
  Totals totals;
  for (const GgufTensor& tensor : file.tensors()) {
    totals.n_params += tensor.n_elements();
    totals.tensor_bytes += static_cast<int64_t>(tensor.size_bytes);
  }
  return totals;
}

std::vector<int64_t> shape_of(const GgufTensor& tensor) {
  return {tensor.dims.begin(), tensor.dims.begin() + tensor.n_dims};
}

std::string architecture_of(const ModelSource& file) {
  const GgufValue* value = file.metadata().find("general.architecture");
  return value != nullptr && value->as_string() ? std::string(*value->as_string()) : "";
}

int64_t context_of(const ModelSource& file) {
  const GgufValue* value = file.metadata().find(architecture_of(file) + ".context_length");
  return value != nullptr ? value->as_int().value_or(0) : 0;
}

// What a terminal shows of a value: control characters made visible, long ones cut.
std::string describe(const GgufValue& value) {
  if (const auto text = value.as_string()) return "\"" + printable(*text, 70) + "\"";
  if (const auto flag = value.as_bool()) return *flag ? "true" : "false";
  if (const auto number = value.as_int()) return std::to_string(*number);
  if (const auto number = value.as_float()) return fmt::format("{:g}", *number);
  return fmt::format("array of {} {}", value.count(), value.count() == 1 ? "value" : "values");
}

Json to_json(const ModelSource& file, const Options& options) {
  const Totals totals = totals_of(file);
  Json document;
  document["architecture"] = printable(architecture_of(file), 1000);
  document["n_params"] = totals.n_params;
  document["file_bytes"] = file.file_bytes();
  document["bits_per_weight"] = totals.bits_per_weight();
  document["context_length"] = context_of(file);
  document["tensors"] = Json::array();
  for (const GgufTensor& tensor : file.tensors()) {
    document["tensors"].push_back({{"name", tensor.name},
                                   {"type", tensor.format->name},
                                   {"shape", shape_of(tensor)},
                                   {"bytes", tensor.size_bytes}});
  }
  document["memory"] = Json::array();
  for (const MemoryNeed& need : memory_needs(options.path)) {
    document["memory"].push_back({{"n_ctx", need.n_ctx}, {"bytes", need.bytes}});
  }
  Json metadata = Json::object();
  for (const auto& [key, value] : file.metadata().entries()) {
    if (const auto text = value.as_string()) {
      metadata[key] = printable(*text, text->size() * 4);
    } else if (const auto flag = value.as_bool()) {
      metadata[key] = *flag;
    } else if (const auto integer = value.as_int()) {
      metadata[key] = *integer;
    } else if (const auto number = value.as_float()) {
      metadata[key] = *number;
    } else {
      metadata[key] = describe(value);
    }
  }
  document["metadata"] = std::move(metadata);
  return document;
}

std::string form_of(const ModelSource& source) {
  const auto* file = dynamic_cast<const GgufFile*>(&source);
  return file != nullptr ? fmt::format("GGUF v{}", file->version()) : "safetensors folder";
}

void print_text(const ModelSource& file, const Options& options) {
  const Totals totals = totals_of(file);
  fmt::print("{}: {}, {}, {} tensors\n", options.path, form_of(file),
             human_bytes(static_cast<double>(file.file_bytes())), file.tensors().size());
  fmt::print("parameters        {:.1f} million\n", static_cast<double>(totals.n_params) / 1e6);
  fmt::print("bits per weight   {:.3f}\n", totals.bits_per_weight());
  for (const MemoryNeed& need : memory_needs(options.path)) {
    fmt::print("memory to run     {} at a context of {}\n",
               human_bytes(static_cast<double>(need.bytes)), need.n_ctx);
  }
  fmt::print("\nmetadata\n");
  for (const auto& [key, value] : file.metadata().entries())
    fmt::print("  {:<42} {}\n", key, describe(value));
  fmt::print("\ntensors\n");
  for (const GgufTensor& tensor : file.tensors()) {
    fmt::print("  {:<32} {:<7} [{}]  {}\n", tensor.name, tensor.format->name,
               fmt::join(shape_of(tensor), ", "),
               human_bytes(static_cast<double>(tensor.size_bytes)));
  }
}

Status run_inspect(const Options& options) {
  ASSIGN_OR_RETURN(const auto source, open_model(options.path));
  const ModelSource& file = *source;
  if (options.json) {
    fmt::print("{}\n", to_json(file, options).dump(2, ' ', false, Json::error_handler_t::replace));
  } else {
    print_text(file, options);
  }
  return {};
}

}  // namespace

void add_inspect(CLI::App& app, Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("inspect", "Show what is in a model and the memory it needs");
  verb->add_option("FILE", options->path, "The model: a GGUF file, or a Hugging Face folder")
      ->required();
  add_json_flag(*verb, options->json);
  verb->callback(
      [options, &command] { command.run = [options] { return run_inspect(*options); }; });
}

}  // namespace nibble
