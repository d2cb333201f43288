#include "quantize/pipeline_work.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <tuple>

#include "base/random.h"
#include "kernels/kernels.h"
#include "quantize/plan.h"

namespace nibble {
namespace {

// Nanoseconds per byte, besides decoding and encoding: of the source, to be read and looked at; of
// the output, to be summed and written; and of the output again, to be synced, read back and
// compared, which one thread does. Measured on two cores of a virtual machine with a virtual disk.
constexpr double kReadNs = 0.5;
constexpr double kWriteNs = 1.0;
constexpr double kFinishNs = 1.2;

constexpr int64_t kSampleWeights = 4096;  // whole blocks of every format

// source, target, with importance data
using Conversion = std::tuple<const Format*, const Format*, bool>;

double time_ns(const Conversion& conversion) {
  const auto& [source, target, weighted] = conversion;
  constexpr auto kN = static_cast<size_t>(kSampleWeights);
  std::vector<float> x(kN), importance(kN, 1.f);
  Random random(1);
  for (float& value : x) value = static_cast<float>(random.normal());
  std::vector<std::byte> blocks(kN * sizeof(float));
  const EncodeFn encode = kernels::encoder(kernels::active(), *target);
  double best = 0;
  for (int pass = 0; pass < 3; ++pass) {  // the first warms the caches, and counts if it is best
    const auto start = std::chrono::steady_clock::now();
    encode(x.data(), weighted ? importance.data() : nullptr, blocks.data(), kSampleWeights);
    target->decode(blocks.data(), importance.data(), kSampleWeights);  // for the error
    const std::chrono::duration<double, std::nano> elapsed =
        std::chrono::steady_clock::now() - start;
    best = pass == 0 ? elapsed.count() : std::min(best, elapsed.count());
    std::fill(importance.begin(), importance.end(), 1.f);
  }
  return best / static_cast<double>(kSampleWeights);
}

double bytes_per_weight(const Format& format) { return format.bits_per_weight() / 8; }

}  // namespace

WorkEstimate WorkEstimate::measure(const QuantizePlan& plan, int n_threads) {
  WorkEstimate estimate;
  std::map<Conversion, double> costs;
  for (const TensorPlan& tensor : plan.tensors) {
    const Format& source = *tensor.source.format;
    double cost = kReadNs * bytes_per_weight(source) + kWriteNs * bytes_per_weight(*tensor.chosen);
    if (tensor.converted()) {
      const Conversion conversion{&source, tensor.chosen, !tensor.importance.empty()};
      const auto [found, is_new] = costs.try_emplace(conversion, 0);
      if (is_new) found->second = time_ns(conversion);
      cost += found->second;
    }
    estimate.per_weight_.push_back(cost);
    estimate.total_ += cost * static_cast<double>(tensor.source.n_elements());
  }
  estimate.total_ += kFinishNs * static_cast<double>(plan.tensor_bytes) * n_threads;
  return estimate;
}

}  // namespace nibble
