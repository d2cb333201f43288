#include "base/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <string>

#include <fmt/format.h>

namespace nibble {
namespace {

// Whole CPUs that the cgroup quota allows (v2 cpu.max, then v1), or a large number without a quota.
int cgroup_cpus() {
  constexpr int kUnlimited = 1 << 20;
  double quota = 0, period = 0;
  std::ifstream v2("/sys/fs/cgroup/cpu.max");  // "max 100000" without a quota: no number
  if (!(v2 >> quota >> period)) {
    std::ifstream quota_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
    std::ifstream period_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    if (!(quota_file >> quota && period_file >> period)) return kUnlimited;
  }
  if (quota > 0 && period > 0) return std::max(1, static_cast<int>(std::ceil(quota / period)));
  return kUnlimited;
}

}  // namespace

CpuFeatures cpu_features() {
  CpuFeatures features;
#if defined(__x86_64__)
  // clang 14 knows no "f16c" for __builtin_cpu_supports: CPUID leaf 1, ECX bit 29. The builtin for
  // AVX2 also asks whether the operating system saves the registers.
  __builtin_cpu_init();
  unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;
  const bool f16c = __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
  features.avx2 = f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi2");
  features.avx512 = features.avx2 && __builtin_cpu_supports("avx512f") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
#elif defined(__aarch64__)
  features.neon_dot = (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
  features.neon_i8mm = features.neon_dot && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
#endif
  return features;
}

int usable_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) != 0) return 1;
  std::set<std::string> cores;  // "package:core" of every allowed CPU
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    const std::string folder = fmt::format("/sys/devices/system/cpu/cpu{}/topology/", cpu);
    std::ifstream package_file(folder + "physical_package_id"), core_file(folder + "core_id");
    std::string package, core;
    if (package_file >> package && core_file >> core) {
      cores.insert(package + ":" + core);
    } else {
      cores.insert(fmt::format("cpu{}", cpu));
    }
  }
  return std::clamp(static_cast<int>(cores.size()), 1, cgroup_cpus());
}

}  // namespace nibble
