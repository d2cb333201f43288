#include "container/hf_repo.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/base/scratch.h"
#include "tests/container/safetensors_bytes.h"

namespace nibble {
namespace {

void put(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string one_tensor(std::string_view name) {
  return test::safetensors_file(
      fmt::format(R"({{"{}":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}}})", name), "x");
}

class HfRepoTest : public ::testing::Test {
 protected:
  HfRepoTest() : folder_(test::scratch_folder() / "model") {
    std::filesystem::create_directories(folder_);
    put(folder_ / "config.json", "{}");
  }
  void put_index(std::string_view map) {
    put(folder_ / kSafetensorsIndexName, fmt::format(R"({{"weight_map":{}}})", map));
  }
  void expect(ErrorKind kind, std::string_view part) {
    const auto repo = HfRepo::open(folder_);
    ASSERT_FALSE(repo.ok()) << part;
    EXPECT_EQ(repo.error().kind, kind) << repo.error().message;
    EXPECT_NE(repo.error().message.find(part), std::string::npos) << repo.error().message;
  }
  std::filesystem::path folder_;
};

TEST_F(HfRepoTest, SeveralFilesByTheirIndex) {
  put(folder_ / "m-1.safetensors", one_tensor("a"));
  put(folder_ / "m-2.safetensors", one_tensor("b"));
  put_index(R"({"a":"m-1.safetensors","b":"m-2.safetensors"})");
  const auto repo = HfRepo::open(folder_);
  ASSERT_TRUE(repo.ok()) << repo.error().message;
  EXPECT_EQ(repo->tensors().size(), 2u);
  EXPECT_EQ(repo->find("b")->file, 1u);
  EXPECT_FALSE(repo->find("c"));
}

// A file stands where each of the names would lead: it must not be opened.
TEST_F(HfRepoTest, NothingOutsideTheFolderIsOpened) {
  put(folder_.parent_path() / "x.safetensors", one_tensor("a"));
  std::filesystem::create_directories(folder_ / "sub");
  put(folder_ / "sub" / "x.safetensors", one_tensor("a"));
  for (const std::string& name :
       {std::string("../x.safetensors"), std::string("../../x"), std::string("sub/x.safetensors"),
        (folder_.parent_path() / "x.safetensors").string(), std::string("%2e%2e%2fx.safetensors"),
        std::string(".x.safetensors"), std::string("..\\\\x.safetensors"), std::string(""),
        std::string("x.bin"), std::string("\\u0000.safetensors")}) {
    put_index(fmt::format(R"({{"a":"{}"}})", name));
    expect(ErrorKind::kInvalid, "nothing else is opened");
  }
  for (const char* value : {"1", "null", "[]", "{}"}) {
    put_index(fmt::format(R"({{"a":{}}})", value));
    expect(ErrorKind::kInvalid, "nothing else is opened");
  }
}

TEST_F(HfRepoTest, IndexAndFilesMustAgree) {
  put(folder_ / "m-1.safetensors", one_tensor("a"));
  put(folder_ / "m-2.safetensors", one_tensor("a"));
  put_index(R"({"a":"m-1.safetensors","b":"m-3.safetensors"})");
  expect(ErrorKind::kNotFound, "is missing");
  put_index(R"({"a":"m-1.safetensors","b":"m-1.safetensors"})");
  expect(ErrorKind::kInvalid, "does not have it");
  put_index(R"({"a":"m-1.safetensors","c":"m-2.safetensors"})");
  expect(ErrorKind::kInvalid, "looks elsewhere");
  put_index(R"({"c":"m-1.safetensors"})");
  expect(ErrorKind::kInvalid, "does not know");
  put_index(R"({"a":"m-1.safetensors","a":"m-2.safetensors"})");
  expect(ErrorKind::kInvalid, "twice");
  for (const char* text : {"{}", "[]", "1", "{\"weight_map\":[]}", "{\"weight_map\":{}}"}) {
    put(folder_ / kSafetensorsIndexName, text);
    expect(ErrorKind::kInvalid, "weight_map");
  }
}

TEST_F(HfRepoTest, WeightsThatAreNotRead) {
  expect(ErrorKind::kNotFound, "neither model.safetensors");
  put(folder_ / "pytorch_model.bin", "PK\x03\x04");
  expect(ErrorKind::kUsage, "can run code");
  put(folder_ / "model.safetensors", "PK\x03\x04" + std::string(100, 'x'));
  expect(ErrorKind::kInvalid, "ZIP");
  std::filesystem::remove(folder_ / "config.json");
  expect(ErrorKind::kUsage, "config.json");
}

TEST_F(HfRepoTest, ConfigThatIsNoObject) {
  for (const char* text : {"[]", "", "1", "{\"a\":1,\"a\":2}", "{\"a\":1} x"}) {
    put(folder_ / "config.json", text);
    expect(ErrorKind::kInvalid, "config.json");
  }
  put(folder_ / "config.json", std::string(100000, '['));
  expect(ErrorKind::kInvalid, "nested");
}

}  // namespace
}  // namespace nibble
