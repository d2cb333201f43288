// Run-time choice of the instruction set: best first, NIBBLE_ISA overrules.
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/cpu.h"
#include "kernels/kernels.h"
#include "kernels/tables.h"

namespace nibble::kernels {
namespace {

struct Isa {
  std::string_view name;
  bool (*supported)();
  const KernelTable& (*table)();
};

constexpr Isa kIsas[] = {
#if defined(__x86_64__)
    {"avx512", [] { return cpu_features().avx512; }, isa_avx512::table},
    {"avx2", [] { return cpu_features().avx2; }, isa_avx2::table},
#elif defined(__aarch64__)
    {"neon_i8mm", [] { return cpu_features().neon_i8mm; }, isa_neon_i8mm::table},
    {"neon", [] { return cpu_features().neon_dot; }, isa_neon::table},
#endif
    {"portable", [] { return true; }, isa_portable::table},
};

struct Choice {
  const KernelTable* table = nullptr;
  std::string error;
};

Choice choose() {
  Choice choice;
  std::string usable;
  for (const Isa& isa : kIsas) {
    if (!isa.supported()) continue;
    if (choice.table == nullptr) choice.table = &isa.table();
    usable += usable.empty() ? "" : ", ";
    usable += isa.name;
  }
  if (const char* wanted = std::getenv("NIBBLE_ISA"); wanted != nullptr && *wanted != '\0') {
    if (const KernelTable* table = find(wanted)) {
      choice.table = table;
    } else {
      choice.error = "[NIBBLE_ISA] '" + std::string(wanted) +
                     "' is not an instruction set of this machine; use one of: " + usable;
    }
  }
  return choice;
}

const Choice& choice() {
  static const Choice instance = choose();
  return instance;
}

}  // namespace

const KernelTable* find(const char* name) {
  for (const Isa& isa : kIsas) {
    if (isa.name == name && isa.supported()) return &isa.table();
  }
  return nullptr;
}

const KernelTable& active() { return *choice().table; }
const char* isa_error() { return choice().error.c_str(); }

}  // namespace nibble::kernels
