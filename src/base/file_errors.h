// What the parts of file.h share: system errors as Errors. Not for other folders.
#pragma once

#include <sys/stat.h>

#include <filesystem>

#include "base/result.h"

namespace nibble {

// "[path] cannot <action>: <errno in words>; <advice>", of the kind that belongs to errno.
Error errno_error(const std::filesystem::path& path, const char* action, const char* advice);

// "a directory", "a FIFO" ...
const char* describe_non_regular(mode_t mode);

}  // namespace nibble
