// The hostile files of the catalogue, row by row (G1 to G15, G19), and what is read from good ones.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "container/gguf.h"
#include "container/gguf_rules.h"
#include "tests/base/scratch.h"
#include "tests/container/allocation_probe.h"
#include "tests/container/gguf_bytes.h"
#include "tests/container/gguf_touch.h"

namespace nibble {
namespace {

using test::GgufBytes;
using test::small_valid_file;

constexpr uint32_t kQ8_0 = 8, kF32 = 0, kI8 = 24;

Result<GgufFile> parse(const std::string& bytes) {
  return GgufFile::parse(std::as_bytes(std::span(bytes)), "test.gguf");
}
Result<GgufFile> parse(const GgufBytes& file) { return parse(file.text()); }

// Checks that the file is refused as malformed, with a message that holds `part`.
void expect_invalid(const GgufBytes& file, const std::string& part,
                    ErrorKind kind = ErrorKind::kInvalid) {
  const auto result = parse(file);
  ASSERT_FALSE(result.ok()) << "accepted, expected: " << part;
  EXPECT_EQ(result.error().kind, kind) << result.error().message;
  EXPECT_PRED_FORMAT2(testing::IsSubstring, part, result.error().message);
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "[test.gguf] byte ", result.error().message);
}

GgufBytes one_tensor(const std::vector<int64_t>& dims, uint32_t type, size_t data_bytes,
                     uint64_t offset = 0) {
  GgufBytes file;
  file.header(1, 0).tensor("t", dims, type, offset).pad().data(data_bytes);
  return file;
}

TEST(GgufReader, ReadsEveryValueOfVersion2And3) {
  for (const uint32_t version : {2u, 3u}) {
    const GgufBytes bytes = small_valid_file(version);
    const auto file = parse(bytes);
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_EQ(file->version(), version);
    EXPECT_EQ(file->alignment(), 32u);
    EXPECT_EQ(file->file_bytes(), bytes.size());
    const GgufMetadata& metadata = file->metadata();
    EXPECT_EQ(metadata.entries().size(), 16u);
    EXPECT_EQ(metadata.entries()[0].first, "general.architecture");
    EXPECT_EQ(metadata.find("general.architecture")->as_string(), "llama");
    EXPECT_EQ(metadata.find("u8")->as_uint(), 200u);
    EXPECT_EQ(metadata.find("i8")->as_int(), -100);
    EXPECT_EQ(metadata.find("u16")->as_uint(), 60000u);
    EXPECT_EQ(metadata.find("i16")->as_int(), -30000);
    EXPECT_EQ(metadata.find("i32")->as_int(), -2000000000);
    EXPECT_EQ(metadata.find("f32")->as_float(), 1.5);
    EXPECT_EQ(metadata.find("bool")->as_bool(), true);
    EXPECT_EQ(metadata.find("u64")->as_uint(), ~uint64_t{0});
    EXPECT_EQ(metadata.find("i64")->as_int(), int64_t{-1} << 62);
    EXPECT_EQ(metadata.find("f64")->as_float(), 0.1);
    EXPECT_EQ(metadata.find("strings")->as_strings(),
              (std::vector<std::string>{"a", "", std::string("\xff\0z", 3)}))
        << "values are bytes, kept as they are";
    EXPECT_EQ(metadata.find("ints")->as_ints(), (std::vector<int64_t>{-1, 0, 1, 7}));
    EXPECT_EQ(metadata.find("floats")->as_floats(), (std::vector<float>{0.25f, -8.0f}));
    EXPECT_EQ(metadata.find("empty")->as_ints(), std::vector<int64_t>{});
    EXPECT_EQ(metadata.find("missing"), nullptr);

    ASSERT_EQ(file->tensors().size(), 3u);
    const GgufTensor& norm = file->tensors()[2];
    EXPECT_EQ(norm.name, "norm");
    EXPECT_EQ(norm.n_dims, 1);
    EXPECT_EQ(norm.dims, (std::array<int64_t, 4>{5, 1, 1, 1}));
    EXPECT_EQ(norm.size_bytes, 20u);
    EXPECT_EQ(norm.format->id, FormatId::F32);
    EXPECT_EQ(file->find_tensor("norm"), &norm);
    EXPECT_EQ(file->find_tensor("Norm"), nullptr);
    const GgufTensor& ffn = *file->find_tensor("blk.0.ffn.weight");
    EXPECT_EQ(ffn.n_elements(), 64);
    EXPECT_EQ(ffn.row_len(), 32);
    EXPECT_EQ(ffn.n_rows(), 2);
    EXPECT_EQ(file->data(norm)[0], std::byte{1});
    EXPECT_EQ(file->data(norm)[19], std::byte{20});
    EXPECT_EQ(file->data(ffn).size(), 36u);
    test::touch_everything(*file);
  }
}

TEST(GgufReader, ReadsEveryFormat) {
  for (const Format& format : all_formats()) {
    const int64_t row = 2 * format.block_len;
    const size_t bytes = 3 * format.size_bytes(row);
    const auto id = static_cast<uint32_t>(format.id);
    const GgufBytes good = one_tensor({row, 3}, id, bytes);
    const auto file = parse(good);
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_EQ(file->tensors()[0].format, &format);
    EXPECT_EQ(file->tensors()[0].size_bytes, bytes);
    expect_invalid(one_tensor({row, 3}, id, bytes - 1), "do not fit the file");
    // G6: a row that is no multiple of the block.
    if (format.block_len > 1) {
      expect_invalid(one_tensor({row + 1, 3}, id, 2 * bytes), "multiple of the block");
      expect_invalid(one_tensor({1, format.block_len}, id, 2 * bytes), "multiple of the block");
    }
  }
}

TEST(GgufReader, AFileMayHaveNoTensorsAndNoMetadata) {
  EXPECT_TRUE(parse(GgufBytes().header(0, 0)).ok());
  EXPECT_TRUE(parse(GgufBytes().header(0, 1).string_entry("a", "vocabulary only")).ok());
}

TEST(GgufReader, BytesBehindTheLastTensorAreIgnored) {
  EXPECT_TRUE(parse(one_tensor({4}, kF32, 16 + 100)).ok());
}

TEST(GgufReader, G1ShortFiles) {
  const std::string bytes = small_valid_file().text();
  for (size_t n = 0; n <= 64; ++n) {
    for (const std::string& start :
         {bytes.substr(0, n), std::string(n, '\0'), std::string(n, '\xff'), std::string(n, 'G')}) {
      const auto result = parse(start);
      ASSERT_FALSE(result.ok()) << n;
      EXPECT_EQ(result.error().kind, ErrorKind::kInvalid);
    }
  }
}

TEST(GgufReader, G3CountsAreComparedWithTheFileBeforeAnythingIsReserved) {
  const uint64_t huge[] = {(1ull << 31) - 1, 1ull << 31,       1ull << 32,
                           (1ull << 63) - 1, (1ull << 63) + 1, ~0ull};
  for (const uint64_t n : huge) {
    test::reset_allocation_probe();
    expect_invalid(GgufBytes().header(n, 0).data(4096), "tensor count");
    expect_invalid(GgufBytes().header(0, n).data(4096), "metadata count");
    expect_invalid(GgufBytes().header(0, 1).number(n).data(4096), "key");
    expect_invalid(GgufBytes().header(0, 1).string("k").number<uint32_t>(8).number(n).data(4096),
                   "string");
    for (uint32_t type = 0; type <= 12; ++type) {
      if (type == 9) continue;
      expect_invalid(GgufBytes().header(0, 1).array_entry("k", type, n).data(4096), "array length");
    }
    expect_invalid(GgufBytes().header(1, 0).number(n).data(4096), "name");
    EXPECT_LE(test::largest_allocation(), 8192u);
  }
  // Small lies: one more than is there.
  expect_invalid(GgufBytes().header(0, 2).string_entry("a", "b"), "metadata count");
  expect_invalid(GgufBytes().header(0, 1).array_entry("k", 0, 5).data(4), "array length");
  expect_invalid(GgufBytes().header(0, 1).array_entry("k", 8, 2).string("").raw("1234567"),
                 "array length");
  // Zero where something follows: the rest is read as something else, and refused or ignored.
  expect_invalid(GgufBytes().header(1, 0).string_entry("general.name", "x").pad().data(64),
                 "number of dimensions");
}

TEST(GgufReader, G4SumsOfSizesThatWrap) {
  const int64_t n = 0x7fffffffffffffc0;
  GgufBytes file;
  file.header(2, 0).tensor("a", {n}, kI8, 0).tensor("b", {n}, kI8, static_cast<uint64_t>(n));
  expect_invalid(file.pad().data(64), "do not fit the file");
}

TEST(GgufReader, G5ProductsThatOverflow) {
  const int64_t two_31 = int64_t{1} << 31, two_62 = int64_t{1} << 62;
  for (const Format& format : all_formats()) {
    const auto id = static_cast<uint32_t>(format.id);
    expect_invalid(one_tensor({two_31, two_31, 2}, id, 64), "does not fit 63 bits");
    expect_invalid(one_tensor({two_62, 2}, id, 64), "does not fit 63 bits");
    expect_invalid(one_tensor({two_31, two_31, two_31, two_31}, id, 64), "does not fit 63 bits");
    expect_invalid(one_tensor({1 << 16, 1 << 16, 1 << 16, 1 << 16}, id, 64),
                   "does not fit 63 bits");
    // The elements fit; the bytes do not, or not into the file.
    const int64_t whole = two_62 / format.block_len * format.block_len;
    expect_invalid(one_tensor({whole}, id, 64), "");
    if (format.block_bytes >= 2 * static_cast<size_t>(format.block_len)) {
      expect_invalid(one_tensor({whole}, id, 64), "number of bytes does not fit");
    }
  }
}

TEST(GgufReader, G6Dimensions) {
  for (const int64_t dim :
       {int64_t{0}, int64_t{-1}, int64_t{-32}, std::numeric_limits<int64_t>::min()}) {
    for (const uint32_t type : {kF32, kQ8_0, kI8}) {
      expect_invalid(one_tensor({dim}, type, 64), "every dimension must be positive");
      expect_invalid(one_tensor({32, dim}, type, 64), "every dimension must be positive");
      expect_invalid(one_tensor({32, 1, 1, dim}, type, 64), "every dimension must be positive");
    }
  }
  expect_invalid(one_tensor({}, kF32, 64), "number of dimensions: 0");
  expect_invalid(one_tensor({1, 1, 1, 1, 1}, kF32, 64), "number of dimensions: 5");
  GgufBytes file;
  file.header(1, 0).string("t").number(~uint32_t{0}).data(64);
  expect_invalid(file, "number of dimensions: 4294967295");
}

TEST(GgufReader, G7Alignment) {
  const auto with_alignment = [](uint32_t alignment) {
    GgufBytes file;
    file.header(1, 1).entry("general.alignment", 4, alignment);
    return file.tensor("t", {4}, kF32, 0).pad(65536).data(16);
  };
  for (const uint32_t alignment : {0u, 1u, 2u, 3u, 4u, 13u, 33u, 48u, 1u << 17, 1u << 31, ~0u}) {
    expect_invalid(with_alignment(alignment), "a power of two from 8 to 65536 is allowed");
  }
  for (const uint32_t alignment : {8u, 16u, 32u, 64u, 4096u, 65536u}) {
    const auto file = parse(with_alignment(alignment));
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_EQ(file->alignment(), alignment);
  }
  expect_invalid(GgufBytes().header(0, 1).entry<int32_t>("general.alignment", 5, 32),
                 "value type 5; it must be 4 (uint32)");
  expect_invalid(GgufBytes().header(0, 1).entry<uint64_t>("general.alignment", 10, 1ull << 63),
                 "it must be 4 (uint32)");
  expect_invalid(GgufBytes().header(0, 1).string_entry("general.alignment", "32"),
                 "it must be 4 (uint32)");
  expect_invalid(GgufBytes().header(0, 1).array_entry("general.alignment", 4, 1).number(32u),
                 "it must be 4 (uint32)");
}

TEST(GgufReader, G10NestedArrays) {
  GgufBytes file;
  file.header(0, 1).string("k").number<uint32_t>(9);
  for (int depth = 0; depth < 100000; ++depth) file.number<uint32_t>(9).number<uint64_t>(1);
  expect_invalid(file, "arrays in arrays are not");
}

TEST(GgufReader, G11Offsets) {
  const auto two_tensors = [](uint64_t first, uint64_t second, size_t data_bytes) {
    GgufBytes file;
    file.header(2, 0).tensor("a", {16}, kF32, first).tensor("b", {10}, kF32, second);
    return file.pad().data(data_bytes);
  };
  EXPECT_TRUE(parse(two_tensors(0, 64, 104)).ok());
  expect_invalid(two_tensors(0, 64, 103), "tensor 1 (b), data: 40 bytes");
  expect_invalid(two_tensors(0, 65, 200), "65 is not aligned");
  expect_invalid(two_tensors(0, 32, 200), "32 overlaps the tensor before");
  expect_invalid(two_tensors(0, 0, 200), "0 overlaps the tensor before");
  expect_invalid(two_tensors(0, 96, 200), "96 leaves a hole");
  expect_invalid(two_tensors(32, 96, 200), "32 leaves a hole");
  expect_invalid(two_tensors(64, 0, 200), "64 leaves a hole");  // out of table order
  expect_invalid(two_tensors(0, ~uint64_t{31}, 200), "leaves a hole");
  // Aligned for 16, not for the file's 64.
  GgufBytes file;
  file.header(2, 1).entry("general.alignment", 4, 64u);
  file.tensor("a", {4}, kF32, 0).tensor("b", {4}, kF32, 16).pad(64).data(200);
  expect_invalid(file, "16 is not aligned");
}

TEST(GgufReader, G13MagicAndVersion) {
  const auto with_version = [](uint32_t version) { return GgufBytes().header(0, 0, version); };
  expect_invalid(with_version(0), "versions 2 and 3 are read");
  expect_invalid(with_version(1), "convert the model again");
  expect_invalid(with_version(4), "damaged or newer");
  expect_invalid(with_version(0x03000000), "big-endian");
  expect_invalid(with_version(0x02000000), "big-endian");
  expect_invalid(GgufBytes().raw("FUGG").number<uint32_t>(3).data(16), "another kind of file");
  expect_invalid(GgufBytes().raw("\x1b[2J").data(20), "\\x1b[2J");  // never raw into a terminal
  expect_invalid(GgufBytes().raw("PK\x03\x04").data(20), "magic: \"PK\\x03\\x04\"");
}

TEST(GgufReader, G14Keys) {
  const auto with_key = [](std::string_view key) {
    return GgufBytes().header(0, 1).entry<uint8_t>(key, 0, 1);
  };
  expect_invalid(with_key(""), "is empty");
  expect_invalid(with_key(std::string_view("a\0b", 3)), "holds a NUL byte");
  expect_invalid(with_key("\xff\xfe"), "is not valid UTF-8");
  expect_invalid(with_key("\xc0\x80"), "is not valid UTF-8");      // overlong NUL
  expect_invalid(with_key("\xed\xa0\x80"), "is not valid UTF-8");  // surrogate
  expect_invalid(with_key(std::string(65536, 'k')), "is too long");
  EXPECT_TRUE(parse(with_key(std::string(65535, 'k'))).ok());
  EXPECT_TRUE(parse(with_key("schl\xc3\xbcssel")).ok());
  GgufBytes twice;
  twice.header(0, 3).entry<uint8_t>("a", 0, 1).entry<uint8_t>("b", 0, 1).entry<uint8_t>("a", 0, 1);
  expect_invalid(twice, "metadata entry 2 (a), key: appears twice");
}

TEST(GgufReader, G14TensorNames) {
  const auto with_name = [](std::string_view name) {
    return GgufBytes().header(1, 0).tensor(name, {4}, kF32, 0).pad().data(16);
  };
  expect_invalid(with_name(""), "is empty");
  expect_invalid(with_name(std::string_view("a\0", 2)), "holds a NUL byte");
  expect_invalid(with_name("\x80"), "is not valid UTF-8");
  expect_invalid(with_name(std::string(64, 'n')), "is too long");
  EXPECT_TRUE(parse(with_name(std::string(63, 'n'))).ok());
  GgufBytes twice;
  twice.header(3, 0)
      .tensor("a", {8}, kF32, 0)
      .tensor("b", {8}, kF32, 32)
      .tensor("a", {8}, kF32, 64);
  expect_invalid(twice.pad().data(96), "tensor 2 (a), name: tensor 0 has it too");
}

TEST(GgufReader, G14TypeIds) {
  for (const uint32_t type : {13u, 255u, 1u << 31, ~0u}) {
    expect_invalid(GgufBytes().header(0, 1).entry<uint64_t>("k", type, 0), "types are 0 to 12");
    expect_invalid(GgufBytes().header(0, 1).array_entry("k", type, 1).number(0ull),
                   "types are 0 to 12");
  }
  for (const uint32_t type : {4u, 5u, 31u, 1000u, ~0u}) {
    ASSERT_EQ(find_format(type), nullptr);
    expect_invalid(one_tensor({256}, type, 1024), fmt::format("type id {}", type),
                   ErrorKind::kFailure);
  }
  expect_invalid(GgufBytes().header(0, 1).entry<uint8_t>("k", 7, 2), "2 as a bool");
  expect_invalid(GgufBytes().header(0, 1).array_entry("k", 7, 2).raw("\x01\xff"), "255 as a bool");
}

TEST(GgufReader, G15LargeDimensionsAreNotCutTo32Bits) {
  GgufTensor tensor;
  const char* problem = nullptr;
  const int64_t wide = (int64_t{1} << 31) + 256;
  for (const Format& format : all_formats()) {
    tensor.format = &format;
    tensor.dims = {wide, 3, 1, 1};
    const auto blocks = static_cast<uint64_t>(wide / format.block_len);
    const uint64_t expected = 3 * blocks * format.block_bytes;
    EXPECT_EQ(gguf_tensor_bytes(tensor, &problem), expected) << format.name;
    EXPECT_EQ(format.size_bytes(3 * wide), expected) << format.name;
  }
  // A real file of 6 GiB, all of it a hole.
  const auto path = test::scratch_folder() / "sparse.gguf";
  const GgufBytes head = one_tensor({wide, 3}, kI8, 0);
  std::ofstream(path, std::ios::binary) << head.text();
  const uint64_t size = head.size() + 3 * static_cast<uint64_t>(wide);
  std::error_code failed;
  std::filesystem::resize_file(path, size, failed);
  if (failed) GTEST_SKIP() << "no sparse files here: " << failed.message();
  const auto file = GgufFile::open(path);
  ASSERT_TRUE(file.ok()) << file.error().message;
  const auto data = file->data(file->tensors()[0]);
  EXPECT_EQ(data.size(), 3 * static_cast<uint64_t>(wide));
  EXPECT_EQ(data.back(), std::byte{0});
  std::filesystem::resize_file(path, size - 1, failed);
  EXPECT_FALSE(GgufFile::open(path).ok()) << "one byte short";
  std::filesystem::remove(path);
}

TEST(GgufReader, G19OnlyRegularFiles) {
  const auto folder = test::scratch_folder();
  const auto kind_of = [](const std::filesystem::path& path) {
    const auto result = GgufFile::open(path);
    EXPECT_FALSE(result.ok());
    return result.ok() ? ErrorKind::kFailure : result.error().kind;
  };
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(kind_of(folder / "fifo"), ErrorKind::kUsage);
  EXPECT_EQ(kind_of(folder), ErrorKind::kUsage);
  EXPECT_EQ(kind_of("/dev/zero"), ErrorKind::kUsage);
  EXPECT_EQ(kind_of(folder / "missing.gguf"), ErrorKind::kNotFound);
  EXPECT_EQ(kind_of(folder / "fifo" / "x.gguf"), ErrorKind::kNotFound);

  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = fmt::format("/tmp/nibble-test-{}.socket", getpid());
  name.copy(address.sun_path, sizeof(address.sun_path) - 1);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    EXPECT_EQ(kind_of(name), ErrorKind::kUsage);
    unlink(name.c_str());
  }
  close(fd);

  std::ofstream(folder / "empty.gguf").flush();
  EXPECT_EQ(kind_of(folder / "empty.gguf"), ErrorKind::kInvalid);
}

TEST(GgufReader, ALongTokenInASparseFileIsRefused) {
  const auto path = test::scratch_folder() / "token.gguf";
  GgufBytes head;
  head.header(0, 1).array_entry("tokenizer.ggml.tokens", 8, 1).number(uint64_t{1} << 31);
  std::ofstream(path, std::ios::binary) << head.text();
  std::error_code failed;
  std::filesystem::resize_file(path, head.size() + (uint64_t{1} << 31), failed);
  if (failed) GTEST_SKIP() << "no sparse files here: " << failed.message();
  test::reset_allocation_probe();
  const auto file = GgufFile::open(path);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().kind, ErrorKind::kInvalid);
  EXPECT_LE(test::peak_allocated(), 1u << 16);
  std::filesystem::remove(path);
}

// The largest table that is accepted, names alike up to their last bytes: within a second (longer
// where a sanitizer watches) and 64 MiB.
TEST(GgufReader, ManyTensorsCostNoQuadraticTime) {
  const auto with_tensors = [](uint64_t n) {
    GgufBytes file;
    file.header(n, 0);
    std::string name = "blk.000000.tensor";
    for (uint64_t i = 0; i < n; ++i) {
      // 7919 has no factor in common with 10^6: all differ, in no order.
      name.replace(4, 6, std::to_string(1000000 + i * 7919 % 1000000), 1, 6);
      file.string(name).number(1u).number(int64_t{1}).number(kF32).number(32 * i);
    }
    return file.pad().raw(std::string(32 * n, 'x'));
  };
  const GgufBytes bytes = with_tensors(kMaxTensors);
  test::reset_allocation_probe();
  const auto start = std::chrono::steady_clock::now();
  const auto file = parse(bytes);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_LT(seconds.count(), 4.0);
  EXPECT_LT(test::peak_allocated(), size_t{64} << 20);
  for (const GgufTensor& tensor : file->tensors())
    ASSERT_EQ(file->find_tensor(tensor.name), &tensor);
  expect_invalid(with_tensors(1000000), "more than the 262144 that are supported");
}

TEST(GgufReader, ManyMetadataEntriesCostNoQuadraticTime) {
  GgufBytes bytes;
  bytes.header(0, kMaxMetadataEntries);
  for (uint64_t i = 0; i < kMaxMetadataEntries; ++i) {
    bytes.entry<uint8_t>(fmt::format("some.long.common.prefix.{}", i), 0, 1);
  }
  test::reset_allocation_probe();
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(parse(bytes).ok());
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_LT(seconds.count(), 4.0);
  EXPECT_LT(test::peak_allocated(), size_t{64} << 20);
}

TEST(GgufReader, DataOfAnotherFilesTensorIsOurMistake) {
  const GgufBytes small = small_valid_file();
  const auto file = parse(small);
  GgufTensor foreign = file->tensors()[0];
  foreign.size_bytes = small.size();
  EXPECT_DEATH((void)file->data(foreign), "size_bytes");
}

TEST(GgufReader, OpensTheDemoModel) {
  if (!std::filesystem::exists(NIBBLE_DEMO_MODEL)) {
    GTEST_SKIP() << "the demo model is missing: " << NIBBLE_DEMO_MODEL;
  }
  const auto file = GgufFile::open(NIBBLE_DEMO_MODEL);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->metadata().find("general.architecture")->as_string(), "llama");
  EXPECT_EQ(file->metadata().find("llama.block_count")->as_uint(), 30u);
  EXPECT_EQ(file->metadata().find("tokenizer.ggml.tokens")->count(), 49152u);
  EXPECT_EQ(file->tensors().size(), 272u);
  const GgufTensor* embedding = file->find_tensor("token_embd.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->dims[0], 576);
  EXPECT_EQ(embedding->dims[1], 49152);
  const uint64_t sum = test::touch_everything(*file);
  EXPECT_NE(sum, 0u);
}

}  // namespace
}  // namespace nibble
