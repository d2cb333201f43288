#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/base/scratch.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string slurp(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

ErrorKind kind_of_opening(const fs::path& path) {
  const auto file = MappedFile::open(path);
  EXPECT_FALSE(file.ok()) << path;
  return file.ok() ? ErrorKind::kFailure : file.error().kind;
}

TEST(MappedFile, HoldsTheBytes) {
  const auto path = test::scratch_folder() / "file";
  std::ofstream(path) << "hello";
  auto file = MappedFile::open(path);
  ASSERT_TRUE(file.ok());
  MappedFile moved = file.take();
  EXPECT_EQ(moved.path(), path);
  ASSERT_EQ(moved.bytes().size(), 5u);
  EXPECT_EQ(moved.bytes()[1], std::byte{'e'});
  moved.will_need(moved.bytes());
  moved.dont_need(moved.bytes());
  EXPECT_EQ(moved.bytes()[4], std::byte{'o'}) << "not needed is not gone";
  fs::remove(path);
  EXPECT_EQ(moved.bytes()[4], std::byte{'o'}) << "the mapping outlives the name";
}

TEST(MappedFile, AnEmptyFileHasNoBytes) {
  const auto path = test::scratch_folder() / "empty";
  std::ofstream(path).flush();
  const auto file = MappedFile::open(path);
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file->bytes().empty());
}

TEST(MappedFile, RefusesWhatIsNoRegularFile) {
  const auto folder = test::scratch_folder();
  EXPECT_EQ(kind_of_opening(folder), ErrorKind::kUsage);
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(kind_of_opening(folder / "fifo"), ErrorKind::kUsage) << "and does not wait";
  EXPECT_EQ(kind_of_opening("/dev/zero"), ErrorKind::kUsage);
  EXPECT_EQ(kind_of_opening("/dev/null"), ErrorKind::kUsage);
}

TEST(MappedFile, MissingPaths) {
  const auto folder = test::scratch_folder();
  std::ofstream(folder / "file") << "x";
  EXPECT_EQ(kind_of_opening(folder / "missing"), ErrorKind::kNotFound);
  EXPECT_EQ(kind_of_opening(folder / "missing" / "file"), ErrorKind::kNotFound);
  EXPECT_EQ(kind_of_opening(folder / "file" / "below"), ErrorKind::kNotFound);
  EXPECT_EQ(kind_of_opening(""), ErrorKind::kNotFound);
  fs::create_symlink("nowhere", folder / "dangling");
  EXPECT_EQ(kind_of_opening(folder / "dangling"), ErrorKind::kNotFound);
  fs::create_symlink("loop", folder / "loop");
  EXPECT_EQ(kind_of_opening(folder / "loop"), ErrorKind::kFailure);
  const auto file = MappedFile::open(folder / "missing");
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "missing]", file.error().message);
}

TEST(OutputFile, AppearsCompleteOrNotAtAll) {
  const auto folder = test::scratch_folder();
  const auto path = folder / "out";
  {
    auto file = OutputFile::create(path, 10);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write_at(0, bytes_of("half")).ok());
    EXPECT_FALSE(fs::exists(path));
    EXPECT_EQ(file->temporary_path(), path.string() + ".nibble-tmp");
    EXPECT_TRUE(fs::exists(file->temporary_path()));
  }
  EXPECT_EQ(test::count_entries(folder), 0u) << "given up: nothing stays";
  {
    auto file = OutputFile::create(path, 10);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write_at(4, bytes_of("56789")).ok());
    ASSERT_TRUE(file->write_at(0, bytes_of("1234")).ok());
    ASSERT_TRUE(file->write_at(9, {}).ok());
    ASSERT_TRUE(file->sync().ok());
    EXPECT_EQ(slurp(file->temporary_path()), "123456789");
    ASSERT_TRUE(file->commit().ok());
    EXPECT_EQ(slurp(path), "123456789");
  }
  EXPECT_EQ(slurp(path), "123456789") << "the destructor removes nothing that was committed";
  EXPECT_EQ(test::count_entries(folder), 1u);
}

TEST(OutputFile, ReplacesTheOldFileOnlyAtTheEnd) {
  const auto path = test::scratch_folder() / "out";
  ASSERT_TRUE(write_text_file(path, "old and longer").ok());
  auto file = OutputFile::create(path, 3);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->write_at(0, bytes_of("new")).ok());
  EXPECT_EQ(slurp(path), "old and longer");
  ASSERT_TRUE(file->commit().ok());
  EXPECT_EQ(slurp(path), "new");
}

TEST(OutputFile, AMovedFromFileRemovesNothing) {
  const auto folder = test::scratch_folder();
  auto created = OutputFile::create(folder / "out", 3);
  ASSERT_TRUE(created.ok());
  OutputFile outer = created.take();
  {
    OutputFile inner = std::move(outer);
    ASSERT_TRUE(inner.write_at(0, bytes_of("abc")).ok());
    ASSERT_TRUE(inner.commit().ok());
  }
  EXPECT_EQ(slurp(folder / "out"), "abc");
}

TEST(OutputFile, ManyThreadsWriteDistinctRanges) {
  const auto path = test::scratch_folder() / "out";
  auto file = OutputFile::create(path, 4000);
  ASSERT_TRUE(file.ok());
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      const std::string part(10, static_cast<char>('a' + thread));
      for (uint64_t i = static_cast<uint64_t>(thread); i < 400; i += 4) {
        EXPECT_TRUE(file->write_at(10 * i, bytes_of(part)).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(file->commit().ok());
  const std::string text = slurp(path);
  ASSERT_EQ(text.size(), 4000u);
  for (size_t i = 0; i < text.size(); ++i) {
    ASSERT_EQ(text[i], static_cast<char>('a' + i / 10 % 4)) << i;
  }
}

TEST(OutputFile, RefusesBeforeTheFirstByte) {
  const auto folder = test::scratch_folder();
  const auto kind_of = [](const fs::path& path, uint64_t size) {
    const auto file = OutputFile::create(path, size);
    EXPECT_FALSE(file.ok()) << path;
    return file.ok() ? ErrorKind::kInvalid : file.error().kind;
  };
  EXPECT_EQ(kind_of(folder, 1), ErrorKind::kUsage);
  EXPECT_EQ(kind_of(folder / "missing" / "out", 1), ErrorKind::kFailure);
  EXPECT_EQ(kind_of(folder / "out", uint64_t{1} << 62), ErrorKind::kResource);
  EXPECT_EQ(test::count_entries(folder), 0u);
  if (geteuid() != 0) {  // root may write anywhere
    fs::permissions(folder, fs::perms::owner_read | fs::perms::owner_exec);
    EXPECT_EQ(kind_of(folder / "out", 1), ErrorKind::kFailure);
    fs::permissions(folder, fs::perms::owner_all);
  }
}

Result<OutputFile> created(const fs::path& path) { return OutputFile::create(path, 4); }

TEST(OutputFile, ASecondWriterIsRefused) {
  const auto folder = test::scratch_folder();
  const auto path = folder / "out";
  auto first = created(path);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(first->write_at(0, bytes_of("mine")).ok());
  const auto second = created(path);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().kind, ErrorKind::kUsage);
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "another nibble", second.error().message);
  EXPECT_PRED_FORMAT2(testing::IsSubstring, path.string(), second.error().message);
  EXPECT_TRUE(created(folder / "other").ok()) << "the lock is of one output";
  EXPECT_EQ(slurp(first->temporary_path()), "mine") << "refused before anything was touched";
  ASSERT_TRUE(first->commit().ok());
  EXPECT_EQ(slurp(path), "mine");
  EXPECT_TRUE(created(path).ok()) << "the lock went with the commit";
}

// A child that creates the output, writes half of it and is killed.
void leave_temporary(const fs::path& path) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto file = OutputFile::create(path, 8);
    if (!file.ok() || !file->write_at(0, bytes_of("half")).ok()) _exit(1);
    if (write(ready[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_FALSE(OutputFile::create(path, 8).ok()) << "it is being written";
  remove_stale_temporaries(path.parent_path(), [](std::string_view) { return true; });
  EXPECT_TRUE(fs::exists(path.string() + ".nibble-tmp")) << "and so it is not stale";
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ready[0]);
  close(ready[1]);
}

TEST(OutputFile, WhatAKilledWriterLeftIsTakenOver) {
  const auto folder = test::scratch_folder();
  const auto path = folder / "out";
  leave_temporary(path);
  EXPECT_EQ(test::count_entries(folder), 1u);
  EXPECT_FALSE(fs::exists(path));
  auto next = created(path);
  ASSERT_TRUE(next.ok()) << next.error().message;
  EXPECT_EQ(slurp(next->temporary_path()), "");
  ASSERT_TRUE(next->write_at(0, bytes_of("abc")).ok());
  ASSERT_TRUE(next->commit().ok());
  EXPECT_EQ(slurp(path), "abc");
  EXPECT_EQ(test::count_entries(folder), 1u);
}

TEST(OutputFile, StaleTemporariesOfOneTargetAreRemoved) {
  const auto folder = test::scratch_folder();
  leave_temporary(folder / "a");
  leave_temporary(folder / "b");
  fs::create_directory(folder / "a-folder.nibble-tmp");
  auto live = created(folder / "a-live");
  ASSERT_TRUE(live.ok());
  std::ofstream(folder / "a") << "finished";
  remove_stale_temporaries(folder, [](std::string_view name) { return name.starts_with("a"); });
  EXPECT_FALSE(fs::exists(folder / "a.nibble-tmp"));
  EXPECT_TRUE(fs::exists(folder / "b.nibble-tmp"));
  EXPECT_TRUE(fs::exists(folder / "a-folder.nibble-tmp"));
  EXPECT_TRUE(fs::exists(live->temporary_path()));
  EXPECT_EQ(slurp(folder / "a"), "finished");
  remove_stale_temporaries(folder / "missing", [](std::string_view) { return true; });
}

TEST(OutputFile, ATemporaryThatIsNoFileIsLeftAlone) {
  const auto folder = test::scratch_folder();
  std::ofstream(folder / "precious") << "data";
  fs::create_symlink("precious", folder / "link.nibble-tmp");
  fs::create_directory(folder / "folder.nibble-tmp");
  ASSERT_EQ(mkfifo((folder / "fifo.nibble-tmp").c_str(), 0600), 0);
  for (const char* name : {"link", "folder", "fifo"}) {
    EXPECT_FALSE(created(folder / name).ok()) << name;
  }
  EXPECT_EQ(slurp(folder / "precious"), "data");
  EXPECT_EQ(test::count_entries(folder), 4u);
}

// Whether the file system of this folder can reserve space at all.
bool reserves_space(const fs::path& folder) {
  const int fd = open((folder / "probe").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  const bool reserved = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20) == 0;
  close(fd);
  return reserved;
}

TEST(OutputFile, TheDiskSpaceIsTakenAtTheStart) {
  const auto folder = test::scratch_folder();
  if (!reserves_space(folder)) GTEST_SKIP() << "this file system does not reserve space";
  const auto path = folder / "out";
  const auto file = OutputFile::create(path, 1 << 20);
  ASSERT_TRUE(file.ok());
  struct stat info;
  ASSERT_EQ(stat(file->temporary_path().c_str(), &info), 0);
  EXPECT_EQ(info.st_size, 0);
  EXPECT_GE(info.st_blocks * 512, 1 << 20);
}

// Writes the names of the files as their contents and commits them as one.
Status write_set(const fs::path& folder, const std::vector<std::string>& names) {
  std::vector<OutputFile> files;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(OutputFile file, created(folder / name));
    files.push_back(std::move(file));
    RETURN_IF_ERROR(files.back().write_at(0, bytes_of("new " + name)));
  }
  return commit_together(files);
}

TEST(CommitTogether, AllOrNone) {
  const auto folder = test::scratch_folder();
  ASSERT_TRUE(write_set(folder, {"1", "2", "3"}).ok());
  for (const char* name : {"1", "2", "3"}) {
    EXPECT_EQ(slurp(folder / name), std::string("new ") + name);
  }
  EXPECT_EQ(test::count_entries(folder), 3u);
}

TEST(CommitTogether, AFailedRenameTakesTheOthersBack) {
  const auto folder = test::scratch_folder();
  std::ofstream(folder / "1") << "old";
  std::vector<OutputFile> files;
  for (const char* name : {"1", "2", "3"}) files.push_back(created(folder / name).take());
  fs::create_directory(folder / "2");  // appears after it was checked
  const Status committed = commit_together(files);
  ASSERT_FALSE(committed.ok());
  EXPECT_PRED_FORMAT2(testing::IsSubstring, (folder / "2").string(), committed.error().message);
  files.clear();
  EXPECT_FALSE(fs::exists(folder / "1")) << "an old first file never names new others";
  EXPECT_FALSE(fs::exists(folder / "3"));
  EXPECT_EQ(test::count_entries(folder), 1u) << "the folder in the way";
}

TEST(TextFile, RoundTripAndLimit) {
  const auto path = test::scratch_folder() / "text";
  const std::string text = std::string("a\0b\n\xff", 5) + std::string(100000, 'x');
  ASSERT_TRUE(write_text_file(path, text).ok());
  const auto back = read_text_file(path);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, text);
  EXPECT_TRUE(read_text_file(path, text.size()).ok());
  const auto too_big = read_text_file(path, text.size() - 1);
  ASSERT_FALSE(too_big.ok());
  EXPECT_EQ(too_big.error().kind, ErrorKind::kInvalid);
  ASSERT_TRUE(write_text_file(path, "").ok());
  EXPECT_EQ(read_text_file(path).value(), "");
}

TEST(SameFile, ByDeviceAndInode) {
  const auto folder = test::scratch_folder();
  ASSERT_TRUE(write_text_file(folder / "a", "x").ok());
  ASSERT_TRUE(write_text_file(folder / "b", "x").ok());
  fs::create_symlink("a", folder / "link");
  fs::create_hard_link(folder / "a", folder / "hard");
  EXPECT_TRUE(is_same_file(folder / "a", folder / "." / "a"));
  EXPECT_TRUE(is_same_file(folder / "a", folder / "link"));
  EXPECT_TRUE(is_same_file(folder / "a", folder / "hard"));
  EXPECT_FALSE(is_same_file(folder / "a", folder / "b"));
  EXPECT_FALSE(is_same_file(folder / "a", folder / "missing"));
  EXPECT_FALSE(is_same_file(folder / "missing", folder / "missing"));
}

}  // namespace
}  // namespace nibble
