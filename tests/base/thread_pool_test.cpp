#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace nibble {
namespace {

TEST(ThreadPool, EveryIndexExactlyOnce) {
  for (int n_threads = 1; n_threads <= 4; ++n_threads) {
    ThreadPool pool(n_threads);
    EXPECT_EQ(pool.n_threads(), n_threads);
    for (const int64_t n : {0, 1, 2, 3, 7, 64, 1000, 4097}) {
      for (const int64_t grain : {1, 2, 3, 16, 5000}) {
        std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
        std::atomic<bool> well_formed{true};
        pool.parallel_for(n, grain, [&](int64_t begin, int64_t end, int thread) {
          if (begin < 0 || end > n || end <= begin || end - begin > grain || thread < 0 ||
              thread >= n_threads || begin % grain != 0) {
            well_formed = false;
          }
          for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
        });
        ASSERT_TRUE(well_formed);
        for (const auto& count : seen) ASSERT_EQ(count, 1) << n << " by " << grain;
      }
    }
  }
}

// A thread number belongs to one thread at a time: per-thread scratch space needs no lock.
TEST(ThreadPool, AThreadNumberIsNeverUsedTwiceAtOnce) {
  ThreadPool pool(4);
  std::vector<std::atomic<int>> inside(4);
  std::atomic<bool> alone{true};
  for (int round = 0; round < 50; ++round) {
    pool.parallel_for(64, 1, [&](int64_t, int64_t, int thread) {
      auto& mine = inside[static_cast<size_t>(thread)];
      if (mine.fetch_add(1) != 0) alone = false;
      std::this_thread::yield();
      mine.fetch_sub(1);
    });
  }
  EXPECT_TRUE(alone);
}

TEST(ThreadPool, WritesAreVisibleAfterwards) {
  ThreadPool pool(3);
  std::vector<int64_t> squares(1000);  // plain memory: the pool must order it
  int64_t total = 0;
  for (int64_t round = 1; round <= 2000; ++round) {
    pool.parallel_for(20, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) squares[static_cast<size_t>(i)] = i * round;
    });
    for (int64_t i = 0; i < 20; ++i) total += squares[static_cast<size_t>(i)];
  }
  EXPECT_EQ(total, 190 * (2000 * 2001 / 2));
}

TEST(ThreadPool, ManyRunsWithSleepsBetween) {
  ThreadPool pool(4);
  std::atomic<int64_t> sum{0};
  for (int round = 0; round < 200; ++round) {
    if (round % 20 == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(3));  // workers sleep
    pool.parallel_for(8, 1, [&](int64_t begin, int64_t, int) { sum += begin; });
  }
  EXPECT_EQ(sum, 200 * 28);
}

TEST(ThreadPool, OneInsideAnother) {
  ThreadPool outer(2);
  std::vector<std::unique_ptr<ThreadPool>> inner;
  for (int i = 0; i < outer.n_threads(); ++i) inner.push_back(std::make_unique<ThreadPool>(2));
  std::atomic<int64_t> sum{0};
  outer.parallel_for(10, 1, [&](int64_t begin, int64_t, int thread) {
    inner[static_cast<size_t>(thread)]->parallel_for(
        10, 1, [&](int64_t i, int64_t, int) { sum += begin * 10 + i; });
  });
  EXPECT_EQ(sum, 99 * 100 / 2);
}

TEST(ThreadPool, SlowChunksAreSharedOut) {
  ThreadPool pool(2);
  std::vector<std::atomic<int>> chunks(2);
  pool.parallel_for(40, 1, [&](int64_t begin, int64_t, int thread) {
    ++chunks[static_cast<size_t>(thread)];
    if (begin == 0) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  });
  EXPECT_EQ(chunks[0] + chunks[1], 40);
  // Whoever got the slow chunk left the others to its neighbour.
  EXPECT_LE(std::min(chunks[0], chunks[1]), 5);
}

TEST(ThreadPool, StartsAndStopsManyTimes) {
  for (int i = 0; i < 100; ++i) {
    ThreadPool pool(1 + i % 4);
    if (i % 3 == 0) continue;  // never used
    std::atomic<int> n{0};
    pool.parallel_for(5, 1, [&](int64_t, int64_t, int) { ++n; });
    ASSERT_EQ(n, 5);
  }
}

TEST(ThreadPool, NoThreadsOrNoGrainIsOurMistake) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(ThreadPool pool(0), "n_threads");
  EXPECT_DEATH(ThreadPool(1).parallel_for(1, 0, [](int64_t, int64_t, int) {}), "grain");
}

}  // namespace
}  // namespace nibble
