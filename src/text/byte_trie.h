// A trie over byte strings: which of many spellings begin at a place. Built once, then read-only.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace nibble {

class ByteTrie {
 public:
  static constexpr uint32_t kRoot = 0;
  static constexpr uint32_t kNowhere = UINT32_MAX;

  ByteTrie() : ByteTrie(std::vector<std::pair<std::string_view, int32_t>>()) {}
  // (spelling, value >= 0). Empty spellings are left out; of equal ones the first stays. The views
  // are not kept.
  explicit ByteTrie(std::vector<std::pair<std::string_view, int32_t>> entries);

  // The node behind `node` along `byte`, or kNowhere.
  uint32_t child(uint32_t node, char byte) const {
    const auto b = static_cast<unsigned char>(byte);
    if (node == kRoot) return first_byte_[b];
    return find_child(node, b);
  }
  // The value of the spelling that ends at the node, or -1.
  int32_t value(uint32_t node) const { return nodes_[node].value; }

  struct Match {
    int32_t value = -1;
    size_t length = 0;
  };
  // The longest spelling that is a prefix of `text`; value -1 when there is none.
  Match longest(std::string_view text) const;

 private:
  struct Node {
    int32_t value = -1;
    uint32_t first_child = 0;  // children lie side by side, by byte
    uint16_t n_children = 0;
    uint8_t byte = 0;
  };
  uint32_t find_child(uint32_t node, uint8_t byte) const;

  std::vector<Node> nodes_;
  std::array<uint32_t, 256> first_byte_{};  // children of the root
};

}  // namespace nibble
