#include "cli/program.h"

int main(int argc, char** argv) { return nibble::run_program(argc, argv); }
