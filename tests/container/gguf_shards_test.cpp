// Models in several files: read as one, and every lie of a file about its place in the set refused
// with a message that names the file.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "base/mapping_guard.h"
#include "container/gguf.h"
#include "container/gguf_split.h"
#include "tests/base/scratch.h"
#include "tests/container/gguf_bytes.h"
#include "tests/container/gguf_touch.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

// One file of a set; absent entries are not written.
struct Shard {
  std::optional<uint16_t> number, count;
  std::optional<int32_t> n_tensors;
  std::vector<std::string> tensors;  // each of 8 floats
  std::string architecture = "";     // none if empty
  uint32_t alignment = 0;            // no entry if 0
  int first_byte = 1;

  std::string bytes() const {
    test::GgufBytes file;
    const uint64_t n_entries = number.has_value() + count.has_value() + n_tensors.has_value() +
                               !architecture.empty() + (alignment != 0);
    const uint32_t unit = alignment == 0 ? 32 : alignment, step = unit < 32 ? 32 : unit;
    file.header(tensors.size(), n_entries);
    if (!architecture.empty()) file.string_entry("general.architecture", architecture);
    if (alignment != 0) file.entry<uint32_t>("general.alignment", 4, alignment);
    if (number) file.entry<uint16_t>("split.no", 2, *number);
    if (count) file.entry<uint16_t>("split.count", 2, *count);
    if (n_tensors) file.entry<int32_t>("split.tensors.count", 5, *n_tensors);
    for (size_t i = 0; i < tensors.size(); ++i) file.tensor(tensors[i], {8}, 0, i * step);
    file.pad(unit);
    for (size_t i = 0; i < tensors.size(); ++i) {
      file.data(32, first_byte + 32 * static_cast<int>(i)).pad(unit);
    }
    return file.text();
  }
};

class GgufShards : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = test::scratch_folder();
    shards_ = {
        {0, 3, 4, {"a", "b"}, "llama"}, {1, 3, 4, {"c"}, "", 0, 100}, {2, 3, 4, {"d"}, "", 0, 200}};
  }

  fs::path path(size_t number, size_t count = 3) const {
    return folder_ / shard_file_name("model", number, count);
  }
  void put(const fs::path& path, const std::string& bytes) const {
    fs::remove(path);
    std::ofstream(path, std::ios::binary) << bytes;
  }
  void save() const {
    for (size_t i = 0; i < shards_.size(); ++i) put(path(i), shards_[i].bytes());
  }
  // Opening the set fails, and the message names the file `number` and holds the text.
  void expect_error(size_t number, const std::string& text, ErrorKind kind = ErrorKind::kInvalid,
                    size_t opened = 0) const {
    const auto file = GgufFile::open(path(opened));
    ASSERT_FALSE(file.ok()) << text;
    EXPECT_EQ(file.error().kind, kind) << file.error().message;
    EXPECT_EQ(file.error().message.find("[" + path(number).string() + "]"), 0u)
        << file.error().message;
    EXPECT_PRED_FORMAT2(testing::IsSubstring, text, file.error().message);
  }

  fs::path folder_;
  std::vector<Shard> shards_;
};

TEST_F(GgufShards, OpenAsOneModel) {
  save();
  auto opened = GgufFile::open(path(0));
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const GgufFile file = opened.take();  // moved: the pieces move with it
  ASSERT_EQ(file.tensors().size(), 4u);
  const char* names[] = {"a", "b", "c", "d"};
  const int first_bytes[] = {1, 33, 100, 200};
  const uint32_t shard_of[] = {0, 0, 1, 2};
  for (size_t i = 0; i < 4; ++i) {
    const GgufTensor& tensor = file.tensors()[i];
    EXPECT_EQ(tensor.name, names[i]);
    EXPECT_EQ(tensor.shard, shard_of[i]);
    EXPECT_EQ(file.find_tensor(names[i]), &tensor);
    EXPECT_EQ(static_cast<int>(file.data(tensor)[0]), first_bytes[i]);
    file.will_need(tensor);
    file.dont_need(tensor);
    file.dont_need(tensor, 4, 1000);
    file.dont_need(tensor, 1000);
    EXPECT_EQ(static_cast<int>(file.data(tensor)[1]), first_bytes[i] + 1);
  }
  EXPECT_EQ(file.path(), path(0));
  EXPECT_EQ(file.paths(), (std::vector<fs::path>{path(0), path(1), path(2)}));
  EXPECT_EQ(file.file_bytes(),
            fs::file_size(path(0)) + fs::file_size(path(1)) + fs::file_size(path(2)));
  EXPECT_EQ(file.metadata().entries().size(), 1u) << "split.* says nothing about the model";
  EXPECT_NE(file.metadata().find("general.architecture"), nullptr);
  EXPECT_TRUE(file.check_unchanged().ok());
  test::touch_everything(file);
}

TEST_F(GgufShards, EachFileHasItsOwnAlignment) {
  shards_[0].alignment = 64;
  shards_[2].alignment = 8;
  shards_[2].tensors = {"d", "e"};
  for (Shard& shard : shards_) shard.n_tensors = 5;
  save();
  const auto file = GgufFile::open(path(0));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(static_cast<int>(file->data(*file->find_tensor("b"))[0]), 33);
  EXPECT_EQ(static_cast<int>(file->data(*file->find_tensor("c"))[0]), 100);
  EXPECT_EQ(static_cast<int>(file->data(*file->find_tensor("e"))[0]), 232);
}

TEST_F(GgufShards, TheFirstMayHoldNoTensors) {
  shards_[0].tensors = {};
  for (Shard& shard : shards_) shard.n_tensors = 2;
  save();
  const auto file = GgufFile::open(path(0));
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->tensors().size(), 2u);
  test::touch_everything(*file);
}

TEST_F(GgufShards, LinksAreFollowedByTheirOwnNames) {
  save();
  const fs::path elsewhere = folder_ / "links";
  fs::create_directory(elsewhere);
  for (size_t i = 0; i < 3; ++i) {
    fs::rename(path(i), folder_ / std::to_string(i));  // blobs with other names, as in caches
    fs::create_symlink("../" + std::to_string(i), elsewhere / path(i).filename());
  }
  EXPECT_TRUE(GgufFile::open(elsewhere / path(0).filename()).ok());
}

TEST_F(GgufShards, ASetOfOneAndAMergedSet) {
  shards_ = {{0, 1, 2, {"a", "b"}, "llama"}};
  put(folder_ / "any.gguf", shards_[0].bytes());
  const auto one = GgufFile::open(folder_ / "any.gguf");
  ASSERT_TRUE(one.ok()) << one.error().message;
  EXPECT_EQ(one->metadata().entries().size(), 1u);
  shards_[0].count = 0;  // what merging leaves
  put(folder_ / "any.gguf", shards_[0].bytes());
  EXPECT_TRUE(GgufFile::open(folder_ / "any.gguf").ok());
  shards_[0].count = 1;
  shards_[0].n_tensors = 3;
  put(folder_ / "any.gguf", shards_[0].bytes());
  EXPECT_FALSE(GgufFile::open(folder_ / "any.gguf").ok());
}

TEST_F(GgufShards, ALaterFileNamesTheFirst) {
  save();
  expect_error(1, path(0).filename(), ErrorKind::kUsage, 1);
  expect_error(2, path(0).filename(), ErrorKind::kUsage, 2);
}

TEST_F(GgufShards, ARenamedFirstFile) {
  save();
  fs::rename(path(0), folder_ / "model.gguf");
  const auto file = GgufFile::open(folder_ / "model.gguf");
  ASSERT_FALSE(file.ok());
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "-00001-of-00003.gguf", file.error().message);
  put(path(0, 2), shards_[0].bytes());  // by its name of 2, by its metadata of 3
  EXPECT_FALSE(GgufFile::open(path(0, 2)).ok());
}

TEST_F(GgufShards, AMissingFile) {
  for (const size_t missing : {size_t{1}, size_t{2}}) {
    save();
    fs::remove(path(missing));
    expect_error(missing, "missing", ErrorKind::kNotFound);
  }
}

TEST_F(GgufShards, SwappedFiles) {
  save();
  fs::rename(path(1), folder_ / "x");
  fs::rename(path(2), path(1));
  fs::rename(folder_ / "x", path(2));
  expect_error(1, "says it is file 3 of 3");
}

TEST_F(GgufShards, DuplicateFiles) {
  save();
  put(path(2), shards_[1].bytes());
  expect_error(2, "says it is file 2 of 3");
  fs::remove(path(2));
  fs::create_hard_link(path(1), path(2));
  expect_error(2, "says it is file 2 of 3");
  fs::remove(path(2));
  fs::create_symlink(path(0).filename(), path(2));
  expect_error(2, "says it is file 1 of 3");
}

TEST_F(GgufShards, LinkLoopsAndThingsThatAreNoFiles) {
  save();
  fs::remove(path(1));
  fs::create_symlink(path(1).filename(), path(1));
  expect_error(1, "symbolic links", ErrorKind::kFailure);
  fs::remove(path(1));
  fs::create_directory(path(1));
  expect_error(1, "directory", ErrorKind::kUsage);
  fs::remove(path(1));
  ASSERT_EQ(mkfifo(path(1).c_str(), 0600), 0);
  expect_error(1, "FIFO", ErrorKind::kUsage);
}

TEST_F(GgufShards, LiesAboutTheNumberOfTheFile) {
  for (const uint16_t lie : {uint16_t{0}, uint16_t{2}}) {
    shards_[1].number = lie;
    save();
    expect_error(1, "says it is file");
  }
  for (const uint16_t lie : {uint16_t{3}, uint16_t{65534}, uint16_t{65535}}) {
    shards_[1].number = lie;
    save();
    expect_error(1, "");
    shards_[0].number = lie;
    save();
    expect_error(0, "");
    shards_[0].number = 0;
  }
  shards_[1].number = std::nullopt;
  save();
  expect_error(1, "says it is file ? of 3");
  shards_[0].number = std::nullopt;
  save();
  expect_error(0, "split.no");
}

TEST_F(GgufShards, LiesAboutTheNumberOfFiles) {
  for (const uint16_t lie : {uint16_t{2}, uint16_t{4}, uint16_t{65535}}) {
    shards_[0].count = lie;
    save();
    expect_error(0, "its name must end in");
  }
  shards_[0].count = 1;
  save();
  expect_error(0, "4 tensors; they have 2");
  shards_[0].count = std::nullopt;
  save();
  expect_error(0, "split.count");
  shards_[0].count = 3;
  for (const uint16_t lie : {uint16_t{0}, uint16_t{1}, uint16_t{2}, uint16_t{65535}}) {
    shards_[2].count = lie;
    save();
    expect_error(2, "says it is file 3 of");
  }
}

TEST_F(GgufShards, LiesAboutTheNumberOfTensors) {
  for (const int32_t lie : {-1, INT32_MIN, INT32_MAX}) {
    shards_[0].n_tensors = lie;
    save();
    expect_error(0, "split.tensors.count");
  }
  shards_[0].n_tensors = 4;
  shards_[2].n_tensors = 5;
  save();
  expect_error(2, "another model");
  for (Shard& shard : shards_) shard.n_tensors = 5;
  save();
  expect_error(0, "5 tensors; they have 4");
  shards_[0].n_tensors = std::nullopt;
  save();
  expect_error(0, "split.tensors.count");
}

TEST_F(GgufShards, EntriesOfAnotherType) {
  test::GgufBytes file;
  file.header(0, 3).string_entry("split.no", "0").string_entry("split.count", "3");
  file.string_entry("split.tensors.count", "4").pad();
  put(path(0), file.text());
  expect_error(0, "split.no");
}

TEST_F(GgufShards, AFileOfAnotherModel) {
  shards_[1].tensors = {"b"};
  save();
  expect_error(1, "the tensor b");
  shards_[1].tensors = {"c"};
  shards_[2].architecture = "falcon";
  save();
  expect_error(2, "general.architecture");
  shards_[2].architecture = "llama";
  save();
  EXPECT_TRUE(GgufFile::open(path(0)).ok()) << "repeated, not contradicted";
}

TEST_F(GgufShards, ADamagedFileIsNamed) {
  save();
  const std::string whole = shards_[2].bytes();
  put(path(2), whole.substr(0, whole.size() - 1));
  expect_error(2, "do not fit the file");
  put(path(2), "");
  expect_error(2, "magic");
}

TEST_F(GgufShards, AFileThatIsCutWhileItIsRead) {
  install_mapping_guard();
  save();
  const auto file = GgufFile::open(path(0));
  ASSERT_TRUE(file.ok());
  fs::resize_file(path(1), 0);
  test::touch_everything(*file);
  EXPECT_TRUE(file->check_unchanged(*file->find_tensor("a")).ok());
  const Status status = file->check_unchanged(*file->find_tensor("c"));
  ASSERT_FALSE(status.ok());
  EXPECT_PRED_FORMAT2(testing::IsSubstring, path(1).string(), status.error().message);
  EXPECT_FALSE(file->check_unchanged().ok());
}

TEST_F(GgufShards, ASingleFileCanBeLookedAt) {
  save();
  const auto file = GgufFile::open_single(path(1));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->tensors().size(), 1u);
  EXPECT_EQ(file->metadata().find("split.no")->as_uint(), 1u);
}

TEST(ShardName, Forms) {
  const auto name = parse_shard_name("a-b-00002-of-00010.gguf");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->prefix, "a-b");
  EXPECT_EQ(name->number, 1u);
  EXPECT_EQ(name->count, 10u);
  for (const char* other :
       {"", "a.gguf", "00001-of-00002.gguf", "a-00001-of-00002", "a-00001-of-00002.bin",
        "a-00000-of-00002.gguf", "a-00003-of-00002.gguf", "a-1-of-2.gguf", "a-000001-of-00002.gguf",
        "a-00001-00002.gguf", "a-0000x-of-00002.gguf", "a-00001-of-99999999999999999999.gguf",
        "a--0001-of-00002.gguf"}) {
    EXPECT_FALSE(parse_shard_name(other)) << other;
  }
  EXPECT_EQ(shard_file_name("m", 0, 3), "m-00001-of-00003.gguf");
  EXPECT_EQ(shard_prefix_of("x/foo.gguf"), "foo");
  EXPECT_EQ(shard_prefix_of("x/foo"), "foo");
  EXPECT_EQ(shard_prefix_of("foo.Q4.gguf"), "foo.Q4");
  EXPECT_EQ(shard_prefix_of("x/foo-00001-of-00007.gguf"), "foo");
}

}  // namespace
}  // namespace nibble
