#include "base/mapping_guard.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "tests/base/scratch.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

// A mapped file of n pages, each filled with a letter of its own.
struct MappedPages {
  static constexpr size_t kPage = 4096;
  explicit MappedPages(size_t n) : path(test::scratch_folder() / "file") {
    install_mapping_guard();
    std::ofstream stream(path);
    for (size_t i = 0; i < n; ++i) stream << std::string(kPage, static_cast<char>('a' + i));
    stream.close();
    file = MappedFile::open(path).take();
  }
  char at(size_t offset) const {
    return static_cast<char>(*static_cast<const volatile std::byte*>(file.bytes().data() + offset));
  }
  fs::path path;
  MappedFile file;
};

TEST(MappingGuard, AFileThatIsCutReadsAsZerosAndSaysSo) {
  MappedPages pages(8);
  EXPECT_EQ(pages.at(5 * MappedPages::kPage), 'f');
  EXPECT_TRUE(pages.file.check_unchanged().ok());
  fs::resize_file(pages.path, 3 * MappedPages::kPage);
  EXPECT_EQ(pages.at(6 * MappedPages::kPage + 17), 0);
  EXPECT_EQ(pages.at(4 * MappedPages::kPage), 0) << "a second fault, before the first";
  EXPECT_EQ(pages.at(7 * MappedPages::kPage), 0);
  EXPECT_EQ(pages.at(2 * MappedPages::kPage), 'c') << "what is there is read";
  const Status status = pages.file.check_unchanged();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kInvalid);
  EXPECT_PRED_FORMAT2(testing::IsSubstring, pages.path.string(), status.error().message);
  fs::resize_file(pages.path, 8 * MappedPages::kPage);
  EXPECT_FALSE(pages.file.check_unchanged().ok()) << "once damaged, always damaged";
}

TEST(MappingGuard, ACutWithinAPageIsSeenWithoutAFault) {
  MappedPages pages(2);
  fs::resize_file(pages.path, 2 * MappedPages::kPage - 1);
  EXPECT_EQ(pages.at(2 * MappedPages::kPage - 1), 0);
  EXPECT_FALSE(pages.file.check_unchanged().ok());
}

TEST(MappingGuard, AnotherFileUnderTheNameDoesNotMatter) {
  MappedPages pages(2);
  ASSERT_TRUE(write_text_file(pages.path, "short").ok());
  EXPECT_EQ(pages.at(MappedPages::kPage), 'b');
  EXPECT_TRUE(pages.file.check_unchanged().ok());
  fs::remove(pages.path);
  EXPECT_TRUE(pages.file.check_unchanged().ok());
}

TEST(MappingGuard, WritingFromACutFileDoesNotFail) {
  MappedPages pages(4);
  auto output = OutputFile::create(pages.path.parent_path() / "copy", 4 * MappedPages::kPage);
  ASSERT_TRUE(output.ok());
  fs::resize_file(pages.path, 0);
  // The kernel reads the pages here; it answers EFAULT instead of a signal.
  ASSERT_TRUE(output->write_at(0, pages.file.bytes()).ok());
  EXPECT_FALSE(pages.file.check_unchanged().ok());
}

TEST(MappingGuard, ManyThreadsFaultAtOnce) {
  MappedPages pages(20);
  fs::resize_file(pages.path, 0);
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (size_t i = 0; i < 20; ++i) {
        EXPECT_EQ(pages.at((thread + i * 7) % 20 * MappedPages::kPage), 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(pages.file.check_unchanged().ok());
}

TEST(MappingGuard, SlotsAreReusedWithoutTheOldDamage) {
  for (int round = 0; round < 3; ++round) {
    MappedPages pages(2);
    EXPECT_TRUE(pages.file.check_unchanged().ok());
    fs::resize_file(pages.path, 0);
    EXPECT_EQ(pages.at(0), 0);
    EXPECT_FALSE(pages.file.check_unchanged().ok());
  }
}

using MappingGuardDeathTest = testing::Test;

TEST(MappingGuardDeathTest, OtherFaultsStillEndTheProgram) {
  const MappedPages pages(2);
  const int fd = open(pages.path.c_str(), O_RDONLY);
  ASSERT_GE(fd, 0);
  auto* foreign = static_cast<volatile char*>(
      mmap(nullptr, 2 * MappedPages::kPage, PROT_READ, MAP_SHARED, fd, 0));
  fs::resize_file(pages.path, 0);
  EXPECT_DEATH({ [[maybe_unused]] const char read = foreign[0]; }, "");
  EXPECT_DEATH(
      {
        kill(getpid(), SIGBUS);
        pause();
      },
      "");
  close(fd);
}

}  // namespace
}  // namespace nibble
