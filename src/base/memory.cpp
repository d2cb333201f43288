#include "base/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace nibble {
namespace {

// The number behind "key:" in a /proc file of "key: n kB" lines, in bytes; -1 when missing.
int64_t proc_bytes(const char* path, const std::string& key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.compare(0, key.size() + 1, key + ":") != 0) continue;
    return std::stoll(line.substr(key.size() + 1)) * 1024;
  }
  return -1;
}

int64_t number_in(const char* path) {
  std::ifstream file(path);
  int64_t value = -1;
  file >> value;
  return file ? value : -1;
}

}  // namespace

ProcessMemory process_memory() {
  ProcessMemory memory;
  memory.resident = proc_bytes("/proc/self/status", "VmRSS");
  memory.anonymous = proc_bytes("/proc/self/status", "RssAnon");
  memory.peak_resident = proc_bytes("/proc/self/status", "VmHWM");
  return memory;
}

int64_t available_memory_bytes() {
  const int64_t available = proc_bytes("/proc/meminfo", "MemAvailable");
  const int64_t limit = number_in("/sys/fs/cgroup/memory.max");  // "max" reads as no number
  const int64_t used = number_in("/sys/fs/cgroup/memory.current");
  const int64_t unknown = std::numeric_limits<int64_t>::max();
  const int64_t machine = available >= 0 ? available : unknown;
  const int64_t cgroup = limit >= 0 && used >= 0 ? std::max<int64_t>(limit - used, 0) : unknown;
  return std::min(machine, cgroup);
}

}  // namespace nibble
