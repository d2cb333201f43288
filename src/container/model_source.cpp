#include "container/model_source.h"

#include <algorithm>

namespace nibble {

// Sorted, not hashed: no choice of names makes it slow.
std::optional<std::pair<size_t, size_t>> ModelSource::index_names() {
  by_name_.resize(tensors_.size());
  for (size_t i = 0; i < by_name_.size(); ++i) by_name_[i] = static_cast<uint32_t>(i);
  std::sort(by_name_.begin(), by_name_.end(), [&](uint32_t a, uint32_t b) {
    const int less = tensors_[a].name.compare(tensors_[b].name);
    return less != 0 ? less < 0 : a < b;
  });
  for (size_t i = 1; i < by_name_.size(); ++i) {
    if (tensors_[by_name_[i]].name == tensors_[by_name_[i - 1]].name) {
      return std::pair<size_t, size_t>(by_name_[i - 1], by_name_[i]);
    }
  }
  return std::nullopt;
}

const GgufTensor* ModelSource::find_tensor(std::string_view name) const {
  const auto found = std::lower_bound(
      by_name_.begin(), by_name_.end(), name,
      [&](uint32_t i, std::string_view wanted) { return tensors_[i].name < wanted; });
  return found != by_name_.end() && tensors_[*found].name == name ? &tensors_[*found] : nullptr;
}

}  // namespace nibble
