// The program: parses the command line, runs the verb, turns its Status into the exit code.
#pragma once

#include <string>
#include <vector>

namespace nibble {

// The arguments after the program's name, with -ctk and -ctv spelled out (--cache-type-k and
// --cache-type-v): the field has short flags of three letters, and CLI11 would read -ctk as -c tk.
// Nothing behind "--" is touched; a text that is exactly "-ctk" is given as --prompt=-ctk.
std::vector<std::string> spelled_out(int argc, const char* const* argv);

// Exit codes: 0 done, 1 failure, 2 usage, 3 not found, 4 bad file or failed verification, 5 out of
// memory or disk, 130 interrupted.
int run_program(int argc, char** argv);

}  // namespace nibble
