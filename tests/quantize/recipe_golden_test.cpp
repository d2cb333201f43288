// The types of tensors against those of llama.cpp's quantizer (tests/golden/make_recipe_golden.py).
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include <nlohmann/json.hpp>

#include "quantize/plan.h"
#include "tests/support/tiny_model.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;
using testing::ScratchFolder;

// A model without data: what plan_tensors() takes.
struct Header {
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;
  std::map<std::string, std::string> patterns;  // of each tensor, as the golden file names it
};

std::string name_of(const std::string& pattern, int layer) {
  std::string name = pattern;
  const size_t mark = name.find("{i}");
  if (mark != std::string::npos) name.replace(mark, 3, std::to_string(layer));
  return name;
}

// Layers of a row [name, dims, maybe layers]; {0} for a tensor of the whole model.
std::vector<int> layers_of(const Json& row, int n_layers) {
  if (row[0].get<std::string>().find("{i}") == std::string::npos) return {0};
  if (row.size() > 2) return row[2].get<std::vector<int>>();
  std::vector<int> layers(static_cast<size_t>(n_layers));
  for (int i = 0; i < n_layers; ++i) layers[static_cast<size_t>(i)] = i;
  return layers;
}

int n_layers_of(const Json& model) {
  const Json& metadata = model["metadata"];
  return metadata[metadata["general.architecture"].get<std::string>() + ".block_count"];
}

Header read_header(const Json& model) {
  Header header;
  for (const auto& [key, value] : model["metadata"].items()) {
    if (value.is_string()) {
      header.metadata.set(key, GgufValue::of_string(value.get<std::string>()));
    } else if (value.is_number_float()) {
      header.metadata.set(key, GgufValue::of_float32(value));
    } else {
      header.metadata.set(key, GgufValue::of_uint32(value));
    }
  }
  for (const Json& row : model["tensors"]) {
    for (const int layer : layers_of(row, n_layers_of(model))) {
      GgufTensor& tensor = header.tensors.emplace_back();
      tensor.name = name_of(row[0], layer);
      const auto dims = row[1].get<std::vector<int64_t>>();
      tensor.n_dims = static_cast<int>(dims.size());
      std::copy(dims.begin(), dims.end(), tensor.dims.begin());
      tensor.format = &format_of(dims.size() > 1 ? FormatId::F16 : FormatId::F32);
      tensor.size_bytes = tensor.format->size_bytes(tensor.n_elements());
    }
  }
  return header;
}

// {tensor: type} out of {"*": type, pattern: "TYPE TYPE*3 ..."}.
std::map<std::string, std::string> expand(const Json& model, const Json& types) {
  std::map<std::string, std::string> result;
  for (const Json& row : model["tensors"]) {
    const auto layers = layers_of(row, n_layers_of(model));
    std::vector<std::string> given;
    if (row[1].size() == 1) {
      given.assign(layers.size(), "F32");
    } else if (!types.contains(row[0].get<std::string>())) {
      given.assign(layers.size(), types["*"]);
    } else {
      std::istringstream runs(types[row[0].get<std::string>()].get<std::string>());
      for (std::string run; runs >> run;) {
        const size_t star = run.find('*');
        const size_t n = star == std::string::npos ? 1 : std::stoul(run.substr(star + 1));
        given.insert(given.end(), n, run.substr(0, star));
      }
    }
    EXPECT_EQ(given.size(), layers.size()) << row[0];
    for (size_t i = 0; i < layers.size(); ++i) result[name_of(row[0], layers[i])] = given[i];
  }
  return result;
}

// An importance matrix that knows one tensor of the model.
std::filesystem::path write_importance(const Header& header, const std::filesystem::path& path) {
  const GgufTensor& tensor = *std::find_if(header.tensors.begin(), header.tensors.end(),
                                           [](const GgufTensor& row) { return row.n_dims > 1; });
  ImportanceMatrix matrix;
  const auto n_mat = static_cast<size_t>(tensor.dims[2]);
  const auto n_in = static_cast<size_t>(tensor.row_len());
  matrix.add(tensor.name, {std::vector<float>(n_in * n_mat, 1.f), std::vector<float>(n_mat, 1.f)});
  EXPECT_TRUE(matrix.write(path).ok());
  return path;
}

void check(const Json& model, const Header& header, const QuantizeOptions& options,
           const Json& types) {
  const auto plan = plan_tensors(header.metadata, header.tensors, options, "golden");
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  const auto expected = expand(model, types);
  ASSERT_EQ(plan->tensors.size(), expected.size());
  for (const TensorPlan& tensor : plan->tensors) {
    EXPECT_EQ(tensor.chosen->name, expected.at(tensor.source.name)) << tensor.source.name;
  }
}

QuantizeOptions options_of(const Json& flags) {
  QuantizeOptions options;
  options.rows = RowPolicy::like_llama_cpp;
  options.pure = flags.value("pure", false);
  options.leave_output = flags.value("leave_output", false);
  options.output_type = flags.value("output_type", "");
  options.embedding_type = flags.value("embedding_type", "");
  options.tensor_types = flags.value("tensor_types", std::vector<std::string>{});
  return options;
}

TEST(RecipeGolden, TypesAreThoseOfLlamaCpp) {
  const ScratchFolder folder;
  std::ifstream file(NIBBLE_TEST_DATA "/golden/recipes.json");
  const Json document = Json::parse(file);
  int n_recipes = 0, n_with_flags = 0;
  for (const Json& model : document["models"]) {
    const Header header = read_header(model);
    const auto importance = write_importance(header, folder / "imatrix.gguf");
    for (const auto& [recipe, types] : model["types"].items()) {
      ++n_recipes;
      SCOPED_TRACE(model["name"].get<std::string>() + ": " + recipe);
      QuantizeOptions options{.to = recipe, .rows = RowPolicy::like_llama_cpp};
      check(model, header, options, types);
      options.imatrix = importance;
      const Json& weighted = model["types_with_imatrix"];
      SCOPED_TRACE("with importance data");
      check(model, header, options, weighted.contains(recipe) ? weighted[recipe] : types);
    }
    for (const Json& run : model.value("with_flags", Json::array())) {
      ++n_with_flags;
      SCOPED_TRACE(model["name"].get<std::string>() + ": " + run["flags"].dump());
      QuantizeOptions options = options_of(run["flags"]);
      options.to = run["flags"]["recipe"];
      check(model, header, options, run["types"]);
    }
  }
  EXPECT_GE(n_recipes, 25 * 24);
  EXPECT_GE(n_with_flags, 10);
}

// Every recipe is compared: a new one must be added to the golden file.
TEST(RecipeGolden, HoldsEveryRecipe) {
  std::ifstream file(NIBBLE_TEST_DATA "/golden/recipes.json");
  const Json document = Json::parse(file);
  for (const Json& model : document["models"]) {
    EXPECT_EQ(model["types"].size(), all_recipes().size());
    for (const Recipe& recipe : all_recipes()) {
      EXPECT_TRUE(model["types"].contains(std::string(recipe.name))) << recipe.name;
    }
  }
}

}  // namespace
}  // namespace nibble
