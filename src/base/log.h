// Warnings from below the command line. Nothing under cli and serve prints; it calls warn(), and
// the program that owns the process decides where the text goes.
#pragma once

#include <functional>
#include <string_view>

#include <fmt/format.h>

namespace nibble {

using LogSink = std::function<void(std::string_view)>;

// Replaces the sink (empty: silence, the default). Call before threads start.
void set_log_sink(LogSink sink);
void log_warning(std::string_view message);

template <typename... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  log_warning(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace nibble
