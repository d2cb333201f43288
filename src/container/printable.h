// Names from a file, made safe to show.
#pragma once

#include <string>
#include <string_view>

namespace nibble {

// `text` with control characters (C0, C1, DEL) and bytes that are no UTF-8 written as \xNN, and cut
// with "..." after about max_bytes: what a hostile file may put into a message or a terminal.
std::string printable(std::string_view text, size_t max_bytes = 80);

}  // namespace nibble
