// A progress bar with time left, on standard error, for work over two seconds. Silent when standard
// error is no terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace nibble {

class ProgressBar {
 public:
  explicit ProgressBar(std::string label);
  ~ProgressBar();
  // Never runs backwards; draws at most ten times a second.
  void update(int64_t done, int64_t total);

 private:
  using Clock = std::chrono::steady_clock;
  std::string label_;
  bool terminal_;
  bool drawn_ = false;
  int64_t done_ = 0;
  Clock::time_point start_, last_draw_;
};

// "4.1 GB", "312 MB", "17 kB".
std::string human_bytes(double bytes);

}  // namespace nibble
