#include "cli/progress.h"

#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>

namespace nibble {

ProgressBar::ProgressBar(std::string label)
    : label_(std::move(label)), terminal_(isatty(STDERR_FILENO) != 0), start_(Clock::now()) {}

ProgressBar::~ProgressBar() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
}

void ProgressBar::update(int64_t done, int64_t total) {
  using std::chrono::duration;
  if (!terminal_ || done < done_ || total <= 0) return;
  done_ = done;
  const auto now = Clock::now();
  const double elapsed = duration<double>(now - start_).count();
  if (elapsed < 0.5 || (drawn_ && duration<double>(now - last_draw_).count() < 0.1)) return;
  last_draw_ = now;
  drawn_ = true;
  const double share = static_cast<double>(done) / static_cast<double>(total);
  constexpr int kWidth = 30;
  const int filled = static_cast<int>(share * kWidth);
  const double left = share > 0 ? elapsed / share - elapsed : 0;
  fmt::print(stderr, "\r\033[K{} [{:=<{}}{: <{}}] {:3.0f} %  {:.0f} s left", label_, "", filled, "",
             kWidth - filled, share * 100, left);
  std::fflush(stderr);
}

std::string human_bytes(double bytes) {
  if (bytes >= 1e9) return fmt::format("{:.2f} GB", bytes / 1e9);
  if (bytes >= 1e6) return fmt::format("{:.1f} MB", bytes / 1e6);
  if (bytes >= 1e3) return fmt::format("{:.1f} kB", bytes / 1e3);
  return fmt::format("{:.0f} B", bytes);
}

}  // namespace nibble
