// Scratch files of tests. A folder of its own for each test, empty at the start.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace nibble::test {

inline std::filesystem::path scratch_folder() {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  const std::filesystem::path folder = std::filesystem::path(NIBBLE_TEST_SCRATCH) /
                                       (std::string(test->test_suite_name()) + "." + test->name());
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

inline size_t count_entries(const std::filesystem::path& folder) {
  size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++n;
  return n;
}

}  // namespace nibble::test
