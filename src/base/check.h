// CHECK: we are wrong. Never reachable from bytes in a file or a request; the fuzz targets prove
// it.
#pragma once

namespace nibble {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}  // namespace nibble

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) ::nibble::check_failed(#condition, __FILE__, __LINE__); \
  } while (false)

#ifdef NDEBUG
#define DCHECK(condition) \
  do {                    \
  } while (false && (condition))
#else
#define DCHECK(condition) CHECK(condition)
#endif
