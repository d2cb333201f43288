// The tokenizer and chat template of a folder, as GGUF metadata.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "container/hf_repo.h"
#include "container/model_source.h"

namespace nibble {

// From tokenizer.json, or tokenizer.model where the first cannot be said in GGUF's own keys or is
// missing, or vocab.txt, or vocab.json with merges.txt; tokenizer_config.json; chat_template.jinja;
// the ids in generation_config.json and config.json. Padded to vocab_size tokens. kNotFound: no
// tokenizer in the folder.
Status add_folder_vocabulary(const HfRepo& repo, int64_t vocab_size, GgufMetadata& metadata);

}  // namespace nibble
