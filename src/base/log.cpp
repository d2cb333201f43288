#include "base/log.h"

#include <utility>

namespace nibble {
namespace {
LogSink& sink() {
  static LogSink instance;
  return instance;
}
}  // namespace

void set_log_sink(LogSink new_sink) { sink() = std::move(new_sink); }

void log_warning(std::string_view message) {
  if (sink()) sink()(message);
}

}  // namespace nibble
