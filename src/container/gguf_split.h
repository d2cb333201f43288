// Models in several files ("shards"), as llama.cpp's tools write them.
//
//   name-00001-of-00003.gguf   all metadata, tensors
//   name-00002-of-00003.gguf   split.* only, tensors
//   name-00003-of-00003.gguf   split.* only, tensors
//
//   split.no             uint16   the shard's number, from 0
//   split.count          uint16   shards of the model; 0 or 1: it is whole (0 is what merging
//   leaves) split.tensors.count  int32    tensors of all shards
//
// Source: tools/gguf-split of llama.cpp.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "container/gguf.h"

namespace nibble {

inline constexpr std::string_view kSplitNumberKey = "split.no";
inline constexpr std::string_view kSplitCountKey = "split.count";
inline constexpr std::string_view kSplitTensorsKey = "split.tensors.count";
inline constexpr size_t kMaxShards = 65535;  // what split.count holds

// "<prefix>-00002-of-00003.gguf": number 1 of count 3.
struct ShardName {
  std::string prefix;
  size_t number = 0, count = 0;
};

// Of a file name without folder; nullopt when it is not of this form, or number >= count.
std::optional<ShardName> parse_shard_name(std::string_view file_name);
std::string shard_file_name(std::string_view prefix, size_t number, size_t count);

// The prefix of the shards of an output: its name without ".gguf", and without the ending of a
// shard.
std::string shard_prefix_of(const std::filesystem::path& output);

void erase_split_keys(GgufMetadata& metadata);

}  // namespace nibble
