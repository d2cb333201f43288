#include "cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

namespace nibble {
namespace {

std::atomic<bool> flag{false}, terminate_flag{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int number) {
  if (number == SIGTERM) terminate_flag.store(true);
  // Work that does not look at the flag within a while can still be ended by a second Ctrl-C; the
  // unfinished output is then a temporary file, never a final name.
  if (flag.exchange(true)) _exit(130);
}

}  // namespace

void install_interrupt_handler() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of the write, not the end of the program
}

const std::atomic<bool>& interrupted() { return flag; }
void clear_interrupt() { flag.store(false); }
void request_interrupt() { flag.store(true); }
bool termination_requested() { return terminate_flag; }

}  // namespace nibble
