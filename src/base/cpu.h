// What this machine offers the process.
#pragma once

namespace nibble {

// Instruction sets that both the processor and the operating system support.
struct CpuFeatures {
  bool avx2 = false;  // AVX2, FMA, F16C and BMI2 together: what isa_avx2.cpp is compiled for
  // These, AVX-512 F, VL, BW, DQ and VNNI: what isa_avx512.cpp is compiled for.
  bool avx512 = false;
  bool neon_dot = false;   // NEON with the dot product of bytes: what isa_neon.cpp is compiled for
  bool neon_i8mm = false;  // and with products of matrices of bytes: isa_neon_i8mm.cpp
};
CpuFeatures cpu_features();

// Physical cores this process may use: affinity mask and cgroup CPU quota respected, SMT siblings
// counted once. At least 1.
int usable_cores();

// Upper bound on a thread count that a user may ask for.
inline constexpr int kMaxThreads = 1024;

}  // namespace nibble
