#include "cli/program.h"

#include <algorithm>
#include <cstdio>
#include <new>
#include <system_error>

#include "base/cpu.h"
#include "base/log.h"
#include "base/mapping_guard.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "container/printable.h"
#include "engine/engine.h"

namespace nibble {
namespace {

void print_error(const std::string& message) { fmt::print(stderr, "nibble: {}\n", message); }

// The first line of a message of CLI11, which may go on with help text.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

int run_parsed(Command& command) {
  if (*isa_error() != '\0') {
    print_error(isa_error());
    return static_cast<int>(ErrorKind::kUsage);
  }
  try {
    const Status status = command.run();
    if (status.ok()) return 0;
    print_error(status.error().message);
    return static_cast<int>(status.error().kind);
  } catch (const std::system_error& error) {  // fmt's only way to say that a write failed
    print_error(fmt::format("[standard output] cannot write: {}", error.code().message()));
    return static_cast<int>(ErrorKind::kFailure);
  } catch (const std::bad_alloc&) {  // the standard containers' only way to say it
    print_error("[memory] not enough memory; close other programs or choose a smaller model");
    return static_cast<int>(ErrorKind::kResource);
  }
}

}  // namespace

void add_threads_flag(CLI::App& verb, int& n_threads) {
  verb.add_option("-t,--threads", n_threads,
                  "Threads (default: the physical cores this process may use)")
      ->check(CLI::Range(1, kMaxThreads));
}

void add_json_flag(CLI::App& verb, bool& json) {
  verb.add_flag("--json", json, "Print one JSON document on standard output and nothing else");
}

std::vector<std::string> spelled_out(int argc, const char* const* argv) {
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  for (std::string& argument : arguments) {
    if (argument == "--") break;
    if (argument == "-ctk") argument = "--cache-type-k";
    if (argument == "-ctv") argument = "--cache-type-v";
  }
  return arguments;
}

int run_program(int argc, char** argv) {
  set_log_sink(
      [](std::string_view message) { fmt::print(stderr, "nibble: warning: {}\n", message); });
  install_interrupt_handler();
  install_mapping_guard();

  CLI::App app{
      "nibble quantizes language models, proves what it cost, and runs them on this computer.",
      "nibble"};
  app.set_version_flag("-v,--version", "nibble " NIBBLE_VERSION);
  app.require_subcommand(1);
  Command command;
  add_inspect(app, command);
  add_quantize(app, command);
  add_quants(app, command);
  add_calibrate(app, command);
  add_run(app, command);
  add_tokenize(app, command);
  add_template(app, command);
  add_bench(app, command);
  add_compare(app, command);
  add_convert(app, command);
  add_export(app, command);
  add_embed(app, command);
  try {
    std::vector<std::string> arguments = spelled_out(argc, argv);
    // Of a verb that it does not know CLI11 would only say that one is required.
    const auto is_named = [&](CLI::App* verb) { return verb->check_name(arguments[0]); };
    if (!arguments.empty() && !arguments[0].starts_with('-') &&
        app.get_subcommands(is_named).empty()) {
      print_error(fmt::format("[command line] there is no verb {}; see nibble --help",
                              printable(arguments[0])));
      return static_cast<int>(ErrorKind::kUsage);
    }
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them: the last one first
    app.parse(std::move(arguments));
  } catch (const CLI::Success& success) {  // --help, --version
    app.exit(success);
    return 0;
  } catch (const CLI::ParseError& error) {
    print_error(fmt::format("[command line] {}; see nibble --help", first_line(error.what())));
    return static_cast<int>(ErrorKind::kUsage);
  }
  const int code = run_parsed(command);
  std::fflush(stdout);
  return code;
}

}  // namespace nibble
