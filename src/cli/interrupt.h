// Ctrl-C: the first sets a flag that long work looks at; a second one within it ends the program.
#pragma once

#include <atomic>

namespace nibble {

void install_interrupt_handler();
// Set by Ctrl-C (SIGINT) and SIGTERM. clear_interrupt() makes the next Ctrl-C a first one again.
const std::atomic<bool>& interrupted();
void clear_interrupt();

}  // namespace nibble
