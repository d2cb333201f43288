// Preloaded into the program by test_faults.py: the system calls that change files are counted, and
// one of them fails, does half its work, or is the last thing the program lives to see.
//
//   FAULT_AT=N         the N-th call, from 1; 0: none
//   FAULT_ACTION=...   error (returns -1 with errno FAULT_ERRNO), short (a write does half; other
//                      calls as usual), kill (SIGKILL before the call)
//   FAULT_LOG=FILE     gets a line with the name of each call, in order
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>

namespace {

std::atomic<int> n_calls{0};

int number_in(const char* variable) {
  const char* text = getenv(variable);
  return text == nullptr ? 0 : atoi(text);
}

bool is_action(const char* name) {
  const char* text = getenv("FAULT_ACTION");
  return text != nullptr && strcmp(text, name) == 0;
}

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

void log_call(const char* name) {
  const char* path = getenv("FAULT_LOG");
  if (path == nullptr) return;
  const int fd =
      real<int(const char*, int, ...)>("open")(path, O_WRONLY | O_APPEND | O_CREAT, 0644);
  if (fd < 0) abort();
  char line[32];
  const size_t n = strlen(name);
  memcpy(line, name, n);
  line[n] = '\n';
  if (write(fd, line, n + 1) < 0) abort();
  close(fd);
}

enum class Fate { kNormal, kFail, kShort };

Fate fate_of(const char* name) {
  log_call(name);
  if (++n_calls != number_in("FAULT_AT")) return Fate::kNormal;
  if (is_action("kill")) raise(SIGKILL);
  if (is_action("short")) return Fate::kShort;
  errno = number_in("FAULT_ERRNO");
  return Fate::kFail;
}

}  // namespace

extern "C" {

ssize_t pwrite(int fd, const void* bytes, size_t n, off_t offset) {
  const Fate fate = fate_of("pwrite");
  if (fate == Fate::kFail) return -1;
  if (fate == Fate::kShort) n = n / 2 + 1;
  return real<ssize_t(int, const void*, size_t, off_t)>("pwrite")(fd, bytes, n, offset);
}

int fsync(int fd) { return fate_of("fsync") == Fate::kFail ? -1 : real<int(int)>("fsync")(fd); }

int rename(const char* from, const char* to) {
  if (fate_of("rename") == Fate::kFail) return -1;
  return real<int(const char*, const char*)>("rename")(from, to);
}

int unlink(const char* path) {
  if (fate_of("unlink") == Fate::kFail) return -1;
  return real<int(const char*)>("unlink")(path);
}

int ftruncate(int fd, off_t size) {
  return fate_of("ftruncate") == Fate::kFail ? -1 : real<int(int, off_t)>("ftruncate")(fd, size);
}

int flock(int fd, int operation) {
  return fate_of("flock") == Fate::kFail ? -1 : real<int(int, int)>("flock")(fd, operation);
}

int fallocate(int fd, int mode, off_t offset, off_t size) {
  if (fate_of("fallocate") == Fate::kFail) return -1;
  return real<int(int, int, off_t, off_t)>("fallocate")(fd, mode, offset, size);
}

// Only files that are created.
int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  if ((flags & O_CREAT) != 0 && fate_of("open") == Fate::kFail) return -1;
  return real<int(const char*, int, ...)>("open")(path, flags, mode);
}

}  // extern "C"
