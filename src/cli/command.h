// What the verbs share: one add_<verb> per verb declares flags and says what to run.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "base/result.h"

namespace nibble {

// The verb that the command line chose; main() runs it after parsing.
struct Command {
  std::function<Status()> run;
};

void add_inspect(CLI::App& app, Command& command);
void add_quantize(CLI::App& app, Command& command);
void add_run(CLI::App& app, Command& command);
void add_tokenize(CLI::App& app, Command& command);
void add_template(CLI::App& app, Command& command);
void add_bench(CLI::App& app, Command& command);
void add_quants(CLI::App& app, Command& command);
void add_calibrate(CLI::App& app, Command& command);
void add_compare(CLI::App& app, Command& command);
void add_convert(CLI::App& app, Command& command);
void add_export(CLI::App& app, Command& command);
void add_embed(CLI::App& app, Command& command);

// Flags that several verbs take, with one meaning.
void add_threads_flag(CLI::App& verb, int& n_threads);
void add_json_flag(CLI::App& verb, bool& json);

}  // namespace nibble
