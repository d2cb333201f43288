// Ctrl-C: the first sets a flag that long work looks at; a second one within it ends the program.
#pragma once

#include <atomic>

namespace nibble {

void install_interrupt_handler();
// Set by Ctrl-C (SIGINT) and SIGTERM. clear_interrupt() makes the next Ctrl-C a first one again.
const std::atomic<bool>& interrupted();
void clear_interrupt();
// Sets the flag from within, when going on has lost its purpose.
void request_interrupt();
// Whether a SIGTERM came: an interrupt that asks the program, and not only its work, to end.
bool termination_requested();

}  // namespace nibble
