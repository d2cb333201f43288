// The loop of all pair-merging models: merge the best pair anywhere in the chain until none is
// left.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "text/token_model.h"

namespace nibble {

// Sets previous and next: the symbols in their order.
inline void link_symbols(std::vector<ModelScratch::Symbol>& symbols) {
  const auto n = static_cast<int32_t>(symbols.size());
  for (int32_t i = 0; i < n; ++i) {
    symbols[static_cast<size_t>(i)].previous = i - 1;
    symbols[static_cast<size_t>(i)].next = i + 1 < n ? i + 1 : -1;
  }
}

// look_up(left, right) sets rank and merged of `left`; is_current(symbol, rank): whether a
// candidate of that rank, found earlier, still describes the symbol and its next. O(n log n).
//
// Candidates lie in a heap as rank in the upper and place of the left symbol in the lower 32 bits,
// so that the smallest is the best rank, leftmost first. They are not removed when a neighbour
// changes; whoever takes one checks that it still holds.
template <typename LookUp, typename IsCurrent>
void merge_chain(ModelScratch& scratch, LookUp&& look_up, IsCurrent&& is_current) {
  std::vector<ModelScratch::Symbol>& symbols = scratch.symbols;
  std::vector<uint64_t>& heap = scratch.heap;
  const auto at = [&](int32_t i) -> ModelScratch::Symbol& {
    return symbols[static_cast<size_t>(i)];
  };
  const auto refresh = [&](int32_t left) {
    ModelScratch::Symbol& symbol = at(left);
    symbol.rank = UINT32_MAX;
    symbol.merged = -1;
    if (symbol.next < 0) return false;
    look_up(symbol, at(symbol.next));
    return symbol.rank != UINT32_MAX;
  };
  const auto key = [&](int32_t left) {
    return (uint64_t{at(left).rank} << 32) | static_cast<uint32_t>(left);
  };
  heap.clear();
  for (int32_t i = 0; i < static_cast<int32_t>(symbols.size()); ++i) {
    if (refresh(i)) heap.push_back(key(i));
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto push = [&](int32_t left) {
    if (left < 0 || !refresh(left)) return;
    heap.push_back(key(left));
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const uint64_t best = heap.back();
    heap.pop_back();
    const auto place = static_cast<int32_t>(best & 0xffffffffu);
    ModelScratch::Symbol& left = at(place);
    if (left.merged < 0 || !is_current(left, static_cast<uint32_t>(best >> 32))) continue;
    ModelScratch::Symbol& right = at(left.next);
    left.token = left.merged;
    left.length += right.length;
    left.next = right.next;
    right.merged = -1;
    if (left.next >= 0) at(left.next).previous = place;
    push(left.previous);
    push(place);
  }
}

}  // namespace nibble
