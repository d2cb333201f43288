#include "tests/container/allocation_probe.h"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<size_t> g_largest{0}, g_live{0}, g_peak{0}, g_base{0};

void raise_to(std::atomic<size_t>& maximum, size_t value) {
  size_t seen = maximum.load();
  while (seen < value && !maximum.compare_exchange_weak(seen, value)) {
  }
}

}  // namespace

void* operator new(size_t size) {
  void* memory = std::malloc(std::max<size_t>(size, 1));
  if (memory == nullptr) std::abort();
  raise_to(g_largest, size);
  raise_to(g_peak, g_live.fetch_add(malloc_usable_size(memory)) + size);
  return memory;
}
// std::stable_sort asks for its buffer in this form.
void* operator new(size_t size, const std::nothrow_t&) noexcept { return operator new(size); }

void operator delete(void* memory) noexcept {
  if (memory == nullptr) return;
  g_live.fetch_sub(malloc_usable_size(memory));
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept { operator delete(memory); }

namespace nibble::test {

void reset_allocation_probe() {
  g_largest = 0;
  g_base = g_live.load();
  g_peak = g_live.load();
}
size_t largest_allocation() { return g_largest.load(); }
size_t peak_allocated() { return g_peak.load() - std::min(g_peak.load(), g_base.load()); }

}  // namespace nibble::test
