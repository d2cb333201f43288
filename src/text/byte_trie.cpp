#include "text/byte_trie.h"

#include <algorithm>

namespace nibble {
namespace {

// The entries [begin, end) of a sorted list share their first `depth` bytes, which lead to `node`.
struct Pending {
  uint32_t node;
  size_t begin, end, depth;
};

}  // namespace

ByteTrie::ByteTrie(std::vector<std::pair<std::string_view, int32_t>> entries) : nodes_(1) {
  first_byte_.fill(kNowhere);
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  // Breadth first, so that the children of a node get neighbouring places.
  std::vector<Pending> queue = {{kRoot, 0, entries.size(), 0}};
  for (size_t next = 0; next < queue.size(); ++next) {
    const auto [node, begin, end, depth] = queue[next];
    size_t at = begin;
    for (; at < end && entries[at].first.size() == depth; ++at) {
      if (depth > 0 && nodes_[node].value < 0) nodes_[node].value = entries[at].second;
    }
    nodes_[node].first_child = static_cast<uint32_t>(nodes_.size());
    while (at < end) {
      const char byte = entries[at].first[depth];
      size_t group_end = at;
      while (group_end < end && entries[group_end].first[depth] == byte) ++group_end;
      Node child;
      child.byte = static_cast<uint8_t>(byte);
      const auto place = static_cast<uint32_t>(nodes_.size());
      if (node == kRoot) first_byte_[child.byte] = place;
      nodes_.push_back(child);
      ++nodes_[node].n_children;
      queue.push_back({place, at, group_end, depth + 1});
      at = group_end;
    }
  }
}

uint32_t ByteTrie::find_child(uint32_t node, uint8_t byte) const {
  const Node& parent = nodes_[node];
  uint32_t low = parent.first_child, high = low + parent.n_children;
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (nodes_[middle].byte < byte) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const bool found = low < parent.first_child + parent.n_children && nodes_[low].byte == byte;
  return found ? low : kNowhere;
}

ByteTrie::Match ByteTrie::longest(std::string_view text) const {
  Match best;
  uint32_t node = kRoot;
  for (size_t i = 0; i < text.size(); ++i) {
    node = child(node, text[i]);
    if (node == kNowhere) break;
    if (value(node) >= 0) best = {value(node), i + 1};
  }
  return best;
}

}  // namespace nibble
