// Writing a model in several files.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/random.h"
#include "container/gguf.h"
#include "container/gguf_split.h"
#include "tests/base/scratch.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

std::vector<std::byte> random_bytes(size_t n, uint64_t seed) {
  Random random(seed);
  std::vector<std::byte> bytes(n);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
  return bytes;
}

GgufMetadata some_metadata() {
  GgufMetadata metadata;
  metadata.set("general.architecture", GgufValue::of_string("llama"));
  metadata.set("text", GgufValue::of_string(std::string(300, 'x')));
  return metadata;
}

Status add(GgufWriter& writer, int64_t n) {
  const int64_t dims[] = {n};
  const auto index = writer.add_tensor(fmt::format("t{}", writer.tensors().size()),
                                       format_of(FormatId::F32), dims);
  return index.ok() ? Status() : Status(index.error());
}

void fill(GgufWriter& writer) {
  const Status begun = writer.begin();
  ASSERT_TRUE(begun.ok()) << begun.error().message;
  for (size_t i = 0; i < writer.tensors().size(); ++i) {
    ASSERT_TRUE(writer.write(i, 0, random_bytes(writer.tensors()[i].size_bytes, i)).ok());
  }
}

void expect_content(const GgufFile& file, size_t n_tensors) {
  ASSERT_EQ(file.tensors().size(), n_tensors);
  for (size_t i = 0; i < n_tensors; ++i) {
    const GgufTensor& tensor = file.tensors()[i];
    EXPECT_EQ(tensor.name, fmt::format("t{}", i));
    EXPECT_TRUE(std::ranges::equal(file.data(tensor), random_bytes(tensor.size_bytes, i))) << i;
  }
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST(GgufSplitWriter, WhereItIsToldTo) {
  for (const uint32_t alignment : {0u, 64u}) {
    const auto folder = test::scratch_folder();
    GgufMetadata metadata = some_metadata();
    if (alignment != 0) metadata.set("general.alignment", GgufValue::of_uint32(alignment));
    GgufWriter writer(folder / "out.gguf", metadata);
    writer.split();
    ASSERT_TRUE(add(writer, 5).ok());
    ASSERT_TRUE(add(writer, 100).ok());
    writer.start_shard();
    ASSERT_TRUE(add(writer, 7).ok());
    writer.start_shard();
    ASSERT_TRUE(add(writer, 1).ok());
    ASSERT_TRUE(add(writer, 33).ok());
    const uint64_t file_bytes = writer.file_bytes();
    const std::vector<std::string> names = {"out-00001-of-00003.gguf", "out-00002-of-00003.gguf",
                                            "out-00003-of-00003.gguf"};
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(writer.paths()[i], folder / names[i]);
    fill(writer);
    for (const std::string& name : names_in(folder)) EXPECT_TRUE(name.ends_with(".nibble-tmp"));
    ASSERT_TRUE(writer.finish().ok());
    EXPECT_EQ(names_in(folder), names);

    const auto file = GgufFile::open(folder / names[0]);
    ASSERT_TRUE(file.ok()) << file.error().message;
    expect_content(*file, 5);
    EXPECT_EQ(file->file_bytes(), file_bytes);
    EXPECT_EQ(file->metadata().entries(), metadata.entries());
    EXPECT_EQ(file->find_tensor("t1")->shard, 0u);
    EXPECT_EQ(file->find_tensor("t2")->shard, 1u);
    EXPECT_EQ(file->find_tensor("t4")->shard, 2u);
    // The types that llama.cpp insists on.
    const auto second = GgufFile::open_single(folder / names[1]);
    ASSERT_TRUE(second.ok());
    EXPECT_EQ(second->metadata().entries().size(), alignment != 0 ? 4u : 3u);
    EXPECT_EQ(second->metadata().find("split.no")->type(), GgufType::kUint16);
    EXPECT_EQ(second->metadata().find("split.count")->type(), GgufType::kUint16);
    EXPECT_EQ(second->metadata().find("split.tensors.count")->type(), GgufType::kInt32);
  }
}

TEST(GgufSplitWriter, NoFileIsLargerThanAllowed) {
  for (const uint64_t limit :
       {uint64_t{1000}, uint64_t{1200}, uint64_t{2000}, uint64_t{5000}, uint64_t{1} << 40}) {
    const auto folder = test::scratch_folder();
    GgufWriter writer(folder / "out", some_metadata());
    writer.split(limit);
    for (int64_t i = 0; i < 20; ++i) ASSERT_TRUE(add(writer, 10 + 9 * i).ok());
    const uint64_t file_bytes = writer.file_bytes();
    fill(writer);
    ASSERT_TRUE(writer.finish().ok());
    uint64_t total = 0;
    const auto paths = writer.paths();
    for (const fs::path& path : paths) {
      EXPECT_LE(fs::file_size(path), limit);
      total += fs::file_size(path);
    }
    EXPECT_EQ(total, file_bytes);
    EXPECT_EQ(names_in(folder).size(), paths.size());
    const auto file = GgufFile::open(paths.front());
    ASSERT_TRUE(file.ok()) << file.error().message;
    expect_content(*file, 20);
    // No file could have taken the first tensor of the next as well.
    for (const GgufTensor& tensor : file->tensors()) {
      if (tensor.shard == 0 || tensor.offset != 0) continue;
      EXPECT_GT(fs::file_size(paths[tensor.shard - 1]) + tensor.size_bytes + 64, limit);
    }
    EXPECT_EQ(paths.size() == 1, limit > 100000);
  }
}

TEST(GgufSplitWriter, ATensorIsNeverCut) {
  GgufWriter writer("out.gguf", some_metadata());
  writer.split(2000);
  ASSERT_TRUE(add(writer, 100).ok());
  const Status refused = add(writer, 1000);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kUsage);
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "t1", refused.error().message);
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "2000", refused.error().message);
}

TEST(GgufSplitWriter, MetadataMayFillTheFirstFile) {
  const auto folder = test::scratch_folder();
  GgufWriter writer(folder / "out.gguf", some_metadata());
  writer.split(576);
  ASSERT_TRUE(add(writer, 80).ok());
  fill(writer);
  ASSERT_TRUE(writer.finish().ok());
  ASSERT_EQ(writer.paths().size(), 2u);
  const auto file = GgufFile::open(writer.paths().front());
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->tensors()[0].shard, 1u);
  expect_content(*file, 1);

  GgufWriter too_small(folder / "out.gguf", some_metadata());
  too_small.split(400);
  const Status refused = add(too_small, 8);
  ASSERT_FALSE(refused.ok());
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "metadata", refused.error().message);
}

TEST(GgufSplitWriter, GivenUpNothingStays) {
  const auto folder = test::scratch_folder();
  {
    GgufWriter writer(folder / "out.gguf", some_metadata());
    writer.split(1000);
    for (int64_t i = 0; i < 6; ++i) ASSERT_TRUE(add(writer, 100).ok());
    fill(writer);
    EXPECT_EQ(names_in(folder).size(), writer.paths().size());
    GgufWriter second(folder / "out.gguf", some_metadata());
    second.split(1000);
    for (int64_t i = 0; i < 6; ++i) ASSERT_TRUE(add(second, 100).ok());
    const Status refused = second.begin();
    ASSERT_FALSE(refused.ok());
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "another nibble", refused.error().message);
    EXPECT_EQ(names_in(folder).size(), writer.paths().size()) << "the first goes on";
  }
  EXPECT_TRUE(names_in(folder).empty());
}

TEST(GgufSplitWriter, ADamagedFileKeepsAllAway) {
  const auto folder = test::scratch_folder();
  GgufWriter writer(folder / "out.gguf", some_metadata());
  writer.split(1000);
  for (int64_t i = 0; i < 6; ++i) ASSERT_TRUE(add(writer, 100).ok());
  fill(writer);
  const fs::path last = writer.paths().back().string() + ".nibble-tmp";
  ASSERT_TRUE(fs::exists(last));
  {
    std::fstream stream(last, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(-40, std::ios::end);
    stream.put('!');
  }
  const Status finished = writer.finish();
  ASSERT_FALSE(finished.ok());
  EXPECT_PRED_FORMAT2(testing::IsSubstring, writer.paths().back().string(),
                      finished.error().message);
  EXPECT_TRUE(names_in(folder).empty());
}

TEST(GgufSplitWriter, LeftoversOfOtherDivisionsAreRemoved) {
  const auto folder = test::scratch_folder();
  for (const char* name :
       {"out.gguf", "out-00001-of-00007.gguf", "out-00007-of-00007.gguf", "other.gguf"}) {
    std::ofstream(folder / (std::string(name) + ".nibble-tmp")) << "left by a killed run";
  }
  GgufWriter writer(folder / "out.gguf", some_metadata());
  ASSERT_TRUE(add(writer, 8).ok());
  fill(writer);
  ASSERT_TRUE(writer.finish().ok());
  EXPECT_EQ(names_in(folder), (std::vector<std::string>{"other.gguf.nibble-tmp", "out.gguf"}));
}

}  // namespace
}  // namespace nibble
