// A file that becomes shorter while it is mapped: reading the missing pages raises SIGBUS, which
// would end the program. With the guard installed the pages read as zeros instead, and the mapping
// is marked, so that whoever holds it can answer with an error (MappedFile::check_unchanged).
#pragma once

#include <cstddef>
#include <span>

namespace nibble {

// Installs the handler of SIGBUS for this process; programs do so once, at the start. Faults
// outside guarded mappings go to the handler that was there before. Calling it again changes
// nothing.
void install_mapping_guard();

class GuardedMapping;

// `range` begins on a page; it stays registered until release_mapping(), which comes before
// munmap().
GuardedMapping* guard_mapping(std::span<const std::byte> range);
void release_mapping(GuardedMapping* mapping);
// Whether a page of it was found missing.
bool is_damaged(const GuardedMapping& mapping);

}  // namespace nibble
