// Memory of the process and of the machine, in bytes.
#pragma once

#include <cstdint>

namespace nibble {

struct ProcessMemory {
  int64_t resident = 0;       // VmRSS
  int64_t anonymous = 0;      // RssAnon: what is not pages of files
  int64_t peak_resident = 0;  // VmHWM
};
ProcessMemory process_memory();

// What a new program may use without swapping: MemAvailable, cut to the cgroup's limit.
int64_t available_memory_bytes();

}  // namespace nibble
