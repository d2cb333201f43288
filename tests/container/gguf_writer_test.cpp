#include "container/gguf.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "base/hash.h"
#include "base/random.h"
#include "container/gguf_rules.h"
#include "tests/base/scratch.h"
#include "tests/container/gguf_bytes.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

std::vector<std::byte> random_bytes(size_t n, uint64_t seed) {
  Random random(seed);
  std::vector<std::byte> bytes(n);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
  return bytes;
}

std::string slurp(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

fs::path temporary_of(const fs::path& path) { return path.string() + ".nibble-tmp"; }

bool is_equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

// A writer with one tensor of each of these sizes (F32), not begun.
GgufWriter writer_with(const fs::path& path, const std::vector<int64_t>& sizes) {
  GgufMetadata metadata;
  metadata.set("general.architecture", GgufValue::of_string("llama"));
  GgufWriter writer(path, metadata);
  for (const int64_t n : sizes) {
    const int64_t dims[] = {n};
    const auto index = writer.add_tensor(fmt::format("t{}", n), format_of(FormatId::F32), dims);
    EXPECT_TRUE(index.ok());
  }
  return writer;
}

// A copy of `file`, tensors as they are.
Status copy_to(const GgufFile& file, const fs::path& path) {
  GgufWriter writer(path, file.metadata());
  for (const GgufTensor& tensor : file.tensors()) {
    const std::span<const int64_t> dims(tensor.dims.data(), static_cast<size_t>(tensor.n_dims));
    ASSIGN_OR_RETURN(const size_t index, writer.add_tensor(tensor.name, *tensor.format, dims));
    CHECK(index + 1 == writer.tensors().size());
  }
  const uint64_t file_bytes = writer.file_bytes();
  RETURN_IF_ERROR(writer.begin());
  for (size_t i = 0; i < file.tensors().size(); ++i) {
    RETURN_IF_ERROR(writer.write(i, 0, file.data(file.tensors()[i])));
  }
  RETURN_IF_ERROR(writer.finish());
  EXPECT_EQ(file_bytes, fs::file_size(path));
  return {};
}

TEST(GgufWriter, ACopyOfAVersion3FileIsTheSameBytes) {
  const auto path = test::scratch_folder() / "copy.gguf";
  const test::GgufBytes bytes = test::small_valid_file();
  const auto file = GgufFile::parse(std::as_bytes(std::span(bytes.text())), "small");
  ASSERT_TRUE(file.ok());
  const Status copied = copy_to(*file, path);
  ASSERT_TRUE(copied.ok()) << copied.error().message;
  EXPECT_EQ(slurp(path), bytes.text());
  EXPECT_EQ(test::count_entries(path.parent_path()), 1u);
}

TEST(GgufWriter, ACopyOfAVersion2FileIsVersion3WithTheSameContents) {
  const auto path = test::scratch_folder() / "copy.gguf";
  const test::GgufBytes bytes = test::small_valid_file(2);
  const auto file = GgufFile::parse(std::as_bytes(std::span(bytes.text())), "small");
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(copy_to(*file, path).ok());
  EXPECT_EQ(slurp(path), test::small_valid_file(3).text());
}

TEST(GgufWriter, ACopyOfTheDemoModelHasTheSameContents) {
  if (!fs::exists(NIBBLE_DEMO_MODEL)) {
    GTEST_SKIP() << "the demo model is missing: " << NIBBLE_DEMO_MODEL;
  }
  const auto path = test::scratch_folder() / "copy.gguf";
  const auto original = GgufFile::open(NIBBLE_DEMO_MODEL);
  ASSERT_TRUE(original.ok());
  const Status copied = copy_to(*original, path);
  ASSERT_TRUE(copied.ok()) << copied.error().message;
  const auto copy = GgufFile::open(path);
  ASSERT_TRUE(copy.ok());
  EXPECT_EQ(copy->metadata().entries(), original->metadata().entries());
  ASSERT_EQ(copy->tensors().size(), original->tensors().size());
  for (size_t i = 0; i < copy->tensors().size(); ++i) {
    const GgufTensor& a = original->tensors()[i];
    const GgufTensor& b = copy->tensors()[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.dims, b.dims);
    EXPECT_EQ(a.format, b.format);
    EXPECT_TRUE(is_equal(original->data(a), copy->data(b))) << a.name;
  }
  fs::remove(path);
}

TEST(GgufWriter, EveryFormatAndEveryAlignmentRoundTrips) {
  const auto path = test::scratch_folder() / "formats.gguf";
  for (const uint32_t alignment : {8u, 32u, 128u, 65536u}) {
    GgufMetadata metadata;
    metadata.set("general.alignment", GgufValue::of_uint32(alignment));
    GgufWriter writer(path, metadata);
    for (const Format& format : all_formats()) {
      const int64_t dims[] = {3 * format.block_len, 5, 2};
      ASSERT_TRUE(writer.add_tensor(std::string(format.name) + ".weight", format, dims).ok());
    }
    ASSERT_TRUE(writer.begin().ok());
    for (size_t i = 0; i < writer.tensors().size(); ++i) {
      const auto bytes = random_bytes(writer.tensors()[i].size_bytes, i);
      ASSERT_TRUE(writer.write(i, 0, bytes).ok());
    }
    const Status finished = writer.finish();
    ASSERT_TRUE(finished.ok()) << finished.error().message;
    EXPECT_EQ(fs::file_size(path), writer.file_bytes());
    const auto file = GgufFile::open(path);
    ASSERT_TRUE(file.ok());
    EXPECT_EQ(file->alignment(), alignment);
    for (size_t i = 0; i < file->tensors().size(); ++i) {
      const GgufTensor& tensor = file->tensors()[i];
      EXPECT_EQ(tensor.offset % alignment, 0u);
      EXPECT_TRUE(is_equal(file->data(tensor), random_bytes(tensor.size_bytes, i)));
    }
  }
}

TEST(GgufWriter, AFileWithoutTensors) {
  const auto path = test::scratch_folder() / "vocabulary.gguf";
  GgufWriter writer = writer_with(path, {});
  ASSERT_TRUE(writer.begin().ok());
  ASSERT_TRUE(writer.finish().ok());
  EXPECT_EQ(fs::file_size(path), writer.file_bytes());
  const auto file = GgufFile::open(path);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->metadata().find("general.architecture")->as_string(), "llama");
}

TEST(GgufWriter, PiecesInAnyOrderFromManyThreadsGiveTheSameFile) {
  const auto folder = test::scratch_folder();
  const std::vector<int64_t> sizes = {1000, 7, 33333};
  std::string expected;
  for (const int n_threads : {1, 2, 4}) {
    const auto path = folder / "out.gguf";
    GgufWriter writer = writer_with(path, sizes);
    ASSERT_TRUE(writer.begin().ok());
    std::vector<std::thread> threads;
    for (int thread = 0; thread < n_threads; ++thread) {
      threads.emplace_back([&, thread] {
        for (size_t i = 0; i < sizes.size(); ++i) {
          const auto bytes = random_bytes(writer.tensors()[i].size_bytes, i);
          const std::span<const std::byte> all(bytes);
          // Odd lengths: cuts inside words of the checksum. Last piece first.
          const size_t piece = 101;
          const size_t n_pieces = (all.size() + piece - 1) / piece;
          for (size_t p = n_pieces; p-- > 0;) {
            if (static_cast<int>(p) % n_threads != thread) continue;
            const size_t begin = p * piece;
            const auto part = all.subspan(begin, std::min(piece, all.size() - begin));
            EXPECT_TRUE(writer.write(i, begin, part).ok());
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    const Status finished = writer.finish();
    ASSERT_TRUE(finished.ok()) << finished.error().message;
    const std::string contents = slurp(path);
    if (expected.empty()) expected = contents;
    EXPECT_TRUE(contents == expected) << n_threads << " threads";
  }
  EXPECT_EQ(test::count_entries(folder), 1u);
}

TEST(GgufWriter, AddTensorRefusesWhatTheReaderWould) {
  GgufWriter writer("unused.gguf", {});
  const Format& q8 = format_of(FormatId::Q8_0);
  const auto message = [&](std::string_view name, std::vector<int64_t> dims) {
    const auto result = writer.add_tensor(name, q8, dims);
    EXPECT_FALSE(result.ok());
    if (result.ok()) return std::string();
    EXPECT_EQ(result.error().kind, ErrorKind::kInvalid);
    return result.error().message;
  };
  ASSERT_TRUE(writer.add_tensor("a", q8, std::vector<int64_t>{32, 2}).ok());
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "another tensor has this name", message("a", {32}));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "is empty", message("", {32}));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "is too long", message(std::string(64, 'x'), {32}));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "is not valid UTF-8", message("\xff", {32}));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "multiple of the block", message("b", {33}));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "0 dimensions", message("b", {}));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "5 dimensions", message("b", {32, 1, 1, 1, 1}));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "positive", message("b", {32, 0}));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "63 bits", message("b", {32, int64_t{1} << 60}));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "2^62", message("b", {int64_t{1} << 62}));
  EXPECT_EQ(writer.tensors().size(), 1u) << "a refused tensor leaves no trace";
  ASSERT_TRUE(writer.add_tensor("b", q8, std::vector<int64_t>{64}).ok());
}

TEST(GgufWriter, BeginRefusesMetadataThatTheReaderWould) {
  const auto folder = test::scratch_folder();
  const auto kind_of = [&](std::string_view key, GgufValue value) {
    GgufMetadata metadata;
    metadata.set(key, std::move(value));
    GgufWriter writer(folder / "out.gguf", metadata);
    const Status status = writer.begin();
    return status.ok() ? std::optional<ErrorKind>() : status.error().kind;
  };
  EXPECT_EQ(kind_of("", GgufValue::of_bool(true)), ErrorKind::kInvalid);
  EXPECT_EQ(kind_of(std::string_view("a\0", 2), GgufValue::of_bool(true)), ErrorKind::kInvalid);
  EXPECT_EQ(kind_of("general.alignment", GgufValue::of_uint32(13)), ErrorKind::kInvalid);
  EXPECT_EQ(kind_of("general.alignment", GgufValue::of_string("32")), ErrorKind::kInvalid);
  EXPECT_EQ(test::count_entries(folder), 0u);
  EXPECT_EQ(kind_of("fine", GgufValue::of_bool(true)), std::nullopt);
}

TEST(GgufWriter, PlacesThatCannotBeWritten) {
  const auto folder = test::scratch_folder();
  const auto kind_of = [](const fs::path& path, int64_t n) {
    GgufWriter writer = writer_with(path, {n});
    const Status status = writer.begin();
    return status.ok() ? std::optional<ErrorKind>() : status.error().kind;
  };
  EXPECT_EQ(kind_of(folder, 8), ErrorKind::kUsage);
  EXPECT_EQ(kind_of(folder / "missing" / "out.gguf", 8), ErrorKind::kFailure);
  EXPECT_EQ(kind_of(folder / "out.gguf", int64_t{1} << 55), ErrorKind::kResource)
      << "no disk has this much room";
  EXPECT_EQ(test::count_entries(folder), 0u);
}

TEST(GgufWriter, WithoutFinishNothingStaysAndTheOldFileStands) {
  const auto folder = test::scratch_folder();
  const auto path = folder / "out.gguf";
  std::ofstream(path) << "old";
  {
    GgufWriter writer = writer_with(path, {100});
    ASSERT_TRUE(writer.begin().ok());
    EXPECT_TRUE(fs::exists(temporary_of(path)));
    ASSERT_TRUE(writer.write(0, 0, random_bytes(400, 1)).ok());
  }
  EXPECT_EQ(slurp(path), "old");
  EXPECT_EQ(test::count_entries(folder), 1u);
}

// Damages the temporary file before finish(), as a failing disk would.
TEST(GgufWriter, FinishNoticesEveryDamagedByte) {
  const auto folder = test::scratch_folder();
  const auto path = folder / "out.gguf";
  std::ofstream(path) << "old";
  const uint64_t file_bytes = writer_with(path, {10, 3}).file_bytes();
  int n_padding = 0;
  for (uint64_t at = 0; at < file_bytes; ++at) {
    GgufWriter writer = writer_with(path, {10, 3});
    ASSERT_TRUE(writer.begin().ok());
    ASSERT_TRUE(writer.write(0, 0, random_bytes(40, 1)).ok());
    ASSERT_TRUE(writer.write(1, 0, random_bytes(12, 2)).ok());
    std::fstream damage(temporary_of(path), std::ios::in | std::ios::out | std::ios::binary);
    damage.seekg(static_cast<std::streamoff>(at));
    const auto byte = static_cast<char>(damage.get() ^ 0x10);
    damage.seekp(static_cast<std::streamoff>(at));
    damage.put(byte);
    damage.close();
    const Status finished = writer.finish();
    if (finished.ok()) {  // nobody reads padding
      ++n_padding;
      std::ofstream(path) << "old";
    } else {
      EXPECT_EQ(finished.error().kind, ErrorKind::kInvalid);
      EXPECT_PRED_FORMAT2(testing::IsSubstring, "reads back differently", finished.error().message);
    }
    ASSERT_EQ(slurp(path), "old");
    ASSERT_EQ(test::count_entries(folder), 1u) << "byte " << at;
  }
  // Header, 24 bytes behind the first tensor, 20 behind the second.
  EXPECT_LT(n_padding, 32 + 24 + 20);
}

TEST(GgufWriter, FinishNoticesAShortFile) {
  const auto folder = test::scratch_folder();
  const auto path = folder / "out.gguf";
  GgufWriter writer = writer_with(path, {10});
  ASSERT_TRUE(writer.begin().ok());
  ASSERT_TRUE(writer.write(0, 0, random_bytes(40, 1)).ok());
  fs::resize_file(temporary_of(path), writer.file_bytes() - 1);
  EXPECT_FALSE(writer.finish().ok());
  EXPECT_EQ(test::count_entries(folder), 0u);
}

TEST(GgufWriter, FinishWithMissingBytesIsOurMistake) {
  const auto path = test::scratch_folder() / "out.gguf";
  GgufWriter writer = writer_with(path, {10});
  ASSERT_TRUE(writer.begin().ok());
  ASSERT_TRUE(writer.write(0, 0, random_bytes(39, 1)).ok());
  EXPECT_DEATH((void)writer.finish(), "bytes_written");
  EXPECT_DEATH((void)writer.write(0, 39, random_bytes(2, 1)), "size_bytes");
  EXPECT_DEATH((void)writer.write(1, 0, random_bytes(2, 1)), "index");
}

}  // namespace
}  // namespace nibble
