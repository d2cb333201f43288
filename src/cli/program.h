// The program: parses the command line, runs the verb, turns its Status into the exit code.
#pragma once

namespace nibble {

// Exit codes: 0 done, 1 failure, 2 usage, 3 not found, 4 bad file or failed verification, 5 out of
// memory or disk, 130 interrupted.
int run_program(int argc, char** argv);

}  // namespace nibble
