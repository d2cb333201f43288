#include "text/jinja_text.h"

#include <algorithm>

namespace nibble::jinja {
namespace {

Origin other(Origin origin) { return origin == Origin::kData ? Origin::kTemplate : Origin::kData; }
Origin origin_of(size_t n_flips) { return n_flips % 2 == 1 ? Origin::kData : Origin::kTemplate; }

}  // namespace

Origin Text::origin_at(size_t offset) const {
  const auto after = std::upper_bound(flips_.begin(), flips_.end(), offset);
  return origin_of(static_cast<size_t>(after - flips_.begin()));
}

void Text::append(std::string_view bytes, Origin origin) {
  if (bytes.empty()) return;
  if (origin_of(flips_.size()) != origin) flips_.push_back(static_cast<uint32_t>(bytes_.size()));
  bytes_.append(bytes);
}

void Text::append(const Text& from, size_t begin, size_t end) {
  if (begin >= end) return;
  const std::string_view bytes = from.bytes_;
  auto flip = std::upper_bound(from.flips_.begin(), from.flips_.end(), begin);
  Origin origin = origin_of(static_cast<size_t>(flip - from.flips_.begin()));
  while (begin < end) {
    const size_t stop = flip == from.flips_.end() ? end : std::min<size_t>(*flip++, end);
    append(bytes.substr(begin, stop - begin), origin);
    begin = stop;
    origin = other(origin);
  }
}

Text Text::slice(size_t begin, size_t end) const {
  Text part;
  part.append(*this, begin, end);
  return part;
}

void Text::clear() {
  bytes_.clear();
  flips_.clear();
}

std::vector<Text::Run> Text::runs() const {
  std::vector<Run> runs;
  size_t begin = 0;
  Origin origin = Origin::kTemplate;
  const auto add = [&](size_t end) {
    if (end > begin) runs.push_back({std::string_view(bytes_).substr(begin, end - begin), origin});
    begin = end;
    origin = other(origin);
  };
  for (const uint32_t flip : flips_) add(flip);
  add(bytes_.size());
  return runs;
}

std::vector<PromptPiece> Text::pieces() const {
  std::vector<PromptPiece> pieces;
  for (const Run& run : runs()) {
    pieces.push_back({std::string(run.bytes), run.origin == Origin::kTemplate});
  }
  return pieces;
}

}  // namespace nibble::jinja
