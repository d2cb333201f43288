#include "base/mapping_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>

namespace nibble {

// A link of the list that the handler walks. Links are reused and never freed: whatever the handler
// reads exists. begin is kNowhere while the link is unused, and is published last.
class GuardedMapping {
 public:
  static constexpr uintptr_t kNowhere = UINTPTR_MAX;

  std::atomic<uintptr_t> begin{kNowhere}, end{0};
  std::atomic<bool> damaged{false};
  GuardedMapping* next = nullptr;  // set before the link is in the list
};

namespace {

static_assert(std::atomic<uintptr_t>::is_always_lock_free);

std::atomic<GuardedMapping*> first_mapping{nullptr};
std::mutex registration;
uintptr_t page_bytes = 4096;
struct sigaction previous_action;

// Everything here is a system call or an atomic read: allowed in a handler.
bool replace_missing_pages(uintptr_t address) {
  for (auto* mapping = first_mapping.load(std::memory_order_acquire); mapping != nullptr;
       mapping = mapping->next) {
    const uintptr_t begin = mapping->begin.load(std::memory_order_acquire);
    const uintptr_t end = mapping->end.load(std::memory_order_acquire);
    if (begin != mapping->begin.load(std::memory_order_acquire)) continue;  // just being reused
    if (address < begin || address >= end) continue;
    // All that follows the first missing page is missing, too; page by page, a large file would
    // take a fault for each.
    const uintptr_t page = address & ~(page_bytes - 1);
    const uintptr_t last = (end + page_bytes - 1) & ~(page_bytes - 1);
    mapping->damaged.store(true, std::memory_order_relaxed);
    return mmap(reinterpret_cast<void*>(page), last - page, PROT_READ,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
  }
  return false;
}

void on_bus_error(int number, siginfo_t* info, void*) {
  const int saved_errno = errno;
  const bool is_fault = info->si_code > 0;  // else sent by a process
  if (!is_fault || !replace_missing_pages(reinterpret_cast<uintptr_t>(info->si_addr))) {
    // Not ours: the fault repeats itself, a sent signal is sent again, under the action before.
    sigaction(SIGBUS, &previous_action, nullptr);
    if (!is_fault) raise(number);
  }
  errno = saved_errno;
}

}  // namespace

void install_mapping_guard() {
  const std::lock_guard lock(registration);
  static bool installed = false;
  if (installed) return;
  installed = true;
  page_bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  struct sigaction action = {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &previous_action);
}

GuardedMapping* guard_mapping(std::span<const std::byte> range) {
  const std::lock_guard lock(registration);
  GuardedMapping* mapping = first_mapping.load();
  while (mapping != nullptr && mapping->begin.load() != GuardedMapping::kNowhere) {
    mapping = mapping->next;
  }
  const bool is_new = mapping == nullptr;
  if (is_new) mapping = new GuardedMapping;
  const auto begin = reinterpret_cast<uintptr_t>(range.data());
  mapping->damaged.store(false);
  mapping->end.store(begin + range.size());
  mapping->begin.store(begin, std::memory_order_release);
  if (is_new) {
    mapping->next = first_mapping.load();
    first_mapping.store(mapping, std::memory_order_release);
  }
  return mapping;
}

void release_mapping(GuardedMapping* mapping) {
  const std::lock_guard lock(registration);
  mapping->begin.store(GuardedMapping::kNowhere);
  mapping->end.store(0);
}

bool is_damaged(const GuardedMapping& mapping) {
  return mapping.damaged.load(std::memory_order_relaxed);
}

}  // namespace nibble
