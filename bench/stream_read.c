/* How fast can this machine read memory? A program of its own, with nothing of nibble in it, to hold
 * nibble's read probe against: threads sum 64-bit integers of an array, as the kernels of STREAM do
 * (McCalpin 1995), with reads only, as four streams side by side since one alone is slower, each
 * thread the next piece that nobody has: a thread whose processor does other work meanwhile does not
 * hold up the others. The best compiler flags of the machine make vectors of it.
 *
 *     cc -O3 -march=native -pthread bench/stream_read.c -o stream_read && ./stream_read [THREADS]
 *
 * Prints the bytes per second of 15 rounds over 1 GiB, one per line. bench/read_probe.py runs it
 * interleaved with the probe.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { kRounds = 15, kMaxThreads = 64 };
static const size_t kBytes = (size_t)1 << 30, kPiece = (size_t)1 << 20;

static uint64_t *data;
static size_t next; /* byte that nobody has read this round */
static int n_threads = 2;
static pthread_barrier_t barrier;
static uint64_t sums[kMaxThreads][8]; /* a cache line each */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *run(void *argument) {
  const long thread = (long)argument;
  const size_t n = kPiece / sizeof(uint64_t);
  for (int round = -1; round < kRounds; ++round) { /* the first one writes */
    if (thread == 0) next = 0;
    pthread_barrier_wait(&barrier);
    const double begin = now();
    uint64_t sum = 0;
    for (size_t at; (at = __atomic_fetch_add(&next, kPiece, __ATOMIC_RELAXED)) < kBytes;) {
      uint64_t *mine = data + at / sizeof(uint64_t);
      if (round < 0) {
        for (size_t i = 0; i < n; ++i) mine[i] = i;
      } else {
        for (size_t i = 0; i < n / 4; i += 32) { /* 256 bytes of each */
          for (size_t k = i; k < i + 32; ++k) sum += mine[k];
          for (size_t k = i; k < i + 32; ++k) sum += mine[n / 4 + k];
          for (size_t k = i; k < i + 32; ++k) sum += mine[n / 2 + k];
          for (size_t k = i; k < i + 32; ++k) sum += mine[3 * n / 4 + k];
        }
      }
    }
    sums[thread][0] += sum;
    pthread_barrier_wait(&barrier);
    if (thread == 0 && round >= 0) printf("%.0f\n", (double)kBytes / (now() - begin));
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc > 1) n_threads = atoi(argv[1]);
  if (n_threads < 1 || n_threads > kMaxThreads) {
    fprintf(stderr, "stream_read: 1 to %d threads\n", kMaxThreads);
    return 2;
  }
  data = mmap(NULL, kBytes + (2u << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {
    perror("stream_read");
    return 1;
  }
  data = (uint64_t *)(((uintptr_t)data + (2u << 20) - 1) & ~(uintptr_t)((2u << 20) - 1));
  madvise(data, kBytes, MADV_HUGEPAGE);
  pthread_barrier_init(&barrier, NULL, (unsigned)n_threads);
  pthread_t threads[kMaxThreads];
  for (long t = 1; t < n_threads; ++t) pthread_create(&threads[t], NULL, run, (void *)t);
  run((void *)0);
  uint64_t total = 0;
  for (long t = 1; t < n_threads; ++t) pthread_join(threads[t], NULL);
  for (int t = 0; t < n_threads; ++t) total += sums[t][0];
  return total == 1; /* so that no sum can be left out */
}
