// Normalizers, pre-tokenizers and decoders of tokenizer.json.
#include <openssl/evp.h>

#include <optional>
#include <utility>

#include "text/json_fields.h"
#include "text/json_tokenizer.h"
#include "text/pretokenize.h"

namespace nibble {
namespace {

using nlohmann::json;

// What is put into a text again and again must be short, or it would blow the text up.
constexpr size_t kMaxContentBytes = 64;
constexpr size_t kMaxParts = 100;

Status collect(const json& part, const std::string& what, const std::string& list_key,
               std::vector<const json*>& parts) {
  if (part.is_null()) return {};
  const JsonFields fields(part, what);
  ASSIGN_OR_RETURN(const std::string type, fields.type());
  if (type != "Sequence") {
    parts.push_back(&part);
    if (parts.size() > kMaxParts) return fields.wrong("type", "one of at most 100 parts");
    return {};
  }
  ASSIGN_OR_RETURN(const json* list, fields.list(list_key));
  for (const json& inner : *list) RETURN_IF_ERROR(collect(inner, what, list_key, parts));
  return {};
}

Result<std::string> content_of(const JsonFields& fields, std::string_view key) {
  ASSIGN_OR_RETURN(std::string content, fields.text(key));
  if (content.size() > kMaxContentBytes) return fields.wrong(key, "at most 64 bytes");
  return content;
}

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0 || text.size() > size_t{1} << 28) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                reinterpret_cast<const unsigned char*>(text.data()),
                                static_cast<int>(text.size()));
  if (n < 0) return std::nullopt;
  bytes.resize(static_cast<size_t>(n));
  for (size_t i = text.size(); i > 0 && text[i - 1] == '=' && !bytes.empty(); --i) {
    bytes.pop_back();
  }
  return bytes;
}

Result<std::unique_ptr<Normalizer>> read_normalizer(const JsonFields& fields) {
  ASSIGN_OR_RETURN(const std::string type, fields.type());
  if (type == "NFC") return make_form_normalizer(NormalForm::kNfc);
  if (type == "NFD") return make_form_normalizer(NormalForm::kNfd);
  if (type == "NFKC") return make_form_normalizer(NormalForm::kNfkc);
  if (type == "NFKD") return make_form_normalizer(NormalForm::kNfkd);
  if (type == "Lowercase") return make_lowercase();
  if (type == "StripAccents") return make_strip_accents();
  if (type == "Nmt") return make_nmt();
  if (type == "ByteLevel") return make_byte_level_normalizer();
  if (type == "Strip") {
    ASSIGN_OR_RETURN(const bool left, fields.flag("strip_left"));
    ASSIGN_OR_RETURN(const bool right, fields.flag("strip_right"));
    return make_strip(left, right);
  }
  if (type == "Prepend") {
    ASSIGN_OR_RETURN(std::string prefix, content_of(fields, "prepend"));
    return make_prepend(std::move(prefix));
  }
  if (type == "Replace") {
    ASSIGN_OR_RETURN(JsonPattern pattern, read_pattern(fields, "pattern"));
    ASSIGN_OR_RETURN(std::string content, content_of(fields, "content"));
    if (!pattern.is_regex) return make_replace(std::move(pattern.text), std::move(content));
    ASSIGN_OR_RETURN(Regex regex, Regex::compile(pattern.text));
    return make_regex_replace(std::move(regex), std::move(content));
  }
  if (type == "BertNormalizer") {
    BertOptions bert;
    ASSIGN_OR_RETURN(bert.clean_text, fields.flag("clean_text", true));
    ASSIGN_OR_RETURN(bert.handle_chinese_chars, fields.flag("handle_chinese_chars", true));
    ASSIGN_OR_RETURN(bert.lowercase, fields.flag("lowercase", true));
    ASSIGN_OR_RETURN(bert.strip_accents, fields.flag("strip_accents", bert.lowercase));
    return make_bert(bert);
  }
  if (type == "Precompiled") {
    ASSIGN_OR_RETURN(const std::string encoded, fields.text("precompiled_charsmap", ""));
    const auto bytes = decode_base64(encoded);
    if (!bytes) return fields.wrong("precompiled_charsmap", "base64");
    ASSIGN_OR_RETURN(Charsmap charsmap, Charsmap::parse(*bytes));
    return make_precompiled(std::move(charsmap));
  }
  return fields.unknown_part(type);
}

Result<SplitBehavior> read_behavior(const JsonFields& fields, const std::string& otherwise) {
  ASSIGN_OR_RETURN(const std::string name, fields.text("behavior", otherwise));
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return fields.wrong("behavior",
                      "Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

struct Metaspace {
  std::string replacement;
  PrependScheme scheme = PrependScheme::kAlways;
};

Result<Metaspace> read_metaspace(const JsonFields& fields) {
  Metaspace metaspace;
  ASSIGN_OR_RETURN(metaspace.replacement, content_of(fields, "replacement"));
  if (metaspace.replacement.empty()) return fields.wrong("replacement", "a character");
  ASSIGN_OR_RETURN(const bool adds_space, fields.flag("add_prefix_space", true));
  ASSIGN_OR_RETURN(const std::string scheme,
                   fields.text("prepend_scheme", adds_space ? "always" : "never"));
  if (scheme == "first") {
    metaspace.scheme = PrependScheme::kFirst;
  } else if (scheme == "never") {
    metaspace.scheme = PrependScheme::kNever;
  } else if (scheme != "always") {
    return fields.wrong("prepend_scheme", "first, never or always");
  }
  return metaspace;
}

Status append_splitter(const JsonFields& fields, SplitterChain& chain) {
  ASSIGN_OR_RETURN(const std::string type, fields.type());
  const auto add = [&](std::unique_ptr<Splitter> splitter) {
    chain.push_back(std::move(splitter));
    return Status();
  };
  if (type == "ByteLevel") {
    ASSIGN_OR_RETURN(const bool adds_space, fields.flag("add_prefix_space", true));
    ASSIGN_OR_RETURN(const bool use_regex, fields.flag("use_regex", true));
    std::optional<Regex> regex;
    if (use_regex) {
      ASSIGN_OR_RETURN(Regex gpt2, Regex::compile(gpt2_pattern()));
      regex = std::move(gpt2);
    }
    return add(make_byte_level_splitter(adds_space, std::move(regex)));
  }
  if (type == "Split") {
    ASSIGN_OR_RETURN(JsonPattern pattern, read_pattern(fields, "pattern"));
    ASSIGN_OR_RETURN(const SplitBehavior behavior, read_behavior(fields, ""));
    ASSIGN_OR_RETURN(const bool invert, fields.flag("invert", false));
    if (!pattern.is_regex)
      return add(make_text_splitter(std::move(pattern.text), behavior, invert));
    ASSIGN_OR_RETURN(Regex regex, Regex::compile(pattern.text));
    return add(make_regex_splitter(std::move(regex), behavior, invert));
  }
  if (type == "Metaspace") {
    ASSIGN_OR_RETURN(Metaspace metaspace, read_metaspace(fields));
    ASSIGN_OR_RETURN(const bool split, fields.flag("split", true));
    return add(make_metaspace_splitter(std::move(metaspace.replacement), metaspace.scheme, split));
  }
  if (type == "Whitespace") return add(make_word_splitter());
  if (type == "WhitespaceSplit") {
    return add(make_class_splitter(is_unicode_space, SplitBehavior::kRemoved));
  }
  if (type == "BertPreTokenizer") {
    chain.push_back(make_class_splitter(is_unicode_space, SplitBehavior::kRemoved));
    return add(make_class_splitter(is_punctuation, SplitBehavior::kIsolated));
  }
  if (type == "Punctuation") {
    ASSIGN_OR_RETURN(const SplitBehavior behavior, read_behavior(fields, "Isolated"));
    return add(make_class_splitter(is_punctuation, behavior));
  }
  if (type == "Digits") {
    ASSIGN_OR_RETURN(const bool individual, fields.flag("individual_digits", false));
    return add(make_class_splitter(
        is_unicode_number, individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous));
  }
  if (type == "CharDelimiterSplit") {
    ASSIGN_OR_RETURN(std::string delimiter, content_of(fields, "delimiter"));
    if (delimiter.empty()) return fields.wrong("delimiter", "a character");
    return add(make_text_splitter(std::move(delimiter), SplitBehavior::kRemoved, false));
  }
  if (type == "FixedLength") {
    ASSIGN_OR_RETURN(const int64_t length, fields.count("length", 5));
    if (length < 1) return fields.wrong("length", "at least 1");
    return add(make_length_splitter(static_cast<size_t>(length)));
  }
  return fields.unknown_part(type);
}

// `is_fused`: a step before made one piece of all; updated.
Result<std::unique_ptr<DecodeStep>> read_decoder(const JsonFields& fields, bool& is_fused) {
  ASSIGN_OR_RETURN(const std::string type, fields.type());
  if (type == "ByteLevel" || type == "Fuse") {
    is_fused = true;
    return type == "Fuse" ? make_fuse_decoder() : make_byte_level_decoder();
  }
  if (type == "ByteFallback") return make_byte_fallback_decoder();
  if (type == "Metaspace") {
    ASSIGN_OR_RETURN(Metaspace metaspace, read_metaspace(fields));
    return make_metaspace_decoder(std::move(metaspace.replacement),
                                  metaspace.scheme != PrependScheme::kNever);
  }
  if (type == "WordPiece") {
    ASSIGN_OR_RETURN(std::string prefix, fields.text("prefix", "##"));
    ASSIGN_OR_RETURN(const bool cleanup, fields.flag("cleanup", true));
    return make_word_piece_decoder(std::move(prefix), "", cleanup);
  }
  if (type == "BPEDecoder") {
    ASSIGN_OR_RETURN(std::string suffix, fields.text("suffix", "</w>"));
    if (suffix.empty()) return fields.wrong("suffix", "not empty");
    return make_bpe_decoder(std::move(suffix));
  }
  if (type == "Replace") {
    ASSIGN_OR_RETURN(JsonPattern pattern, read_pattern(fields, "pattern"));
    ASSIGN_OR_RETURN(std::string content, content_of(fields, "content"));
    if (!pattern.is_regex) return make_replace_decoder(std::move(pattern.text), std::move(content));
    ASSIGN_OR_RETURN(Regex regex, Regex::compile(pattern.text));
    return make_regex_replace_decoder(std::move(regex), std::move(content));
  }
  if (type == "Strip") {
    ASSIGN_OR_RETURN(std::string content, content_of(fields, "content"));
    if (content.empty()) return fields.wrong("content", "a character");
    ASSIGN_OR_RETURN(const int64_t start, fields.count("start", 0));
    ASSIGN_OR_RETURN(const int64_t stop, fields.count("stop", 0));
    return make_strip_decoder(std::move(content), static_cast<size_t>(start),
                              static_cast<size_t>(stop), is_fused);
  }
  return fields.unknown_part(type);
}

const json& part_of(const json& document, const char* key) {
  static const json kNone;
  const auto found = document.find(key);
  return found == document.end() ? kNone : *found;
}

}  // namespace

Result<std::vector<const json*>> flat_parts(const json& part, const std::string& what,
                                            const std::string& list_key) {
  std::vector<const json*> parts;
  RETURN_IF_ERROR(collect(part, what, list_key, parts));
  return parts;
}

Result<NormalizerChain> read_json_normalizer(const json& document) {
  NormalizerChain chain;
  ASSIGN_OR_RETURN(const auto parts,
                   flat_parts(part_of(document, "normalizer"), "the normalizer", "normalizers"));
  for (const json* part : parts) {
    ASSIGN_OR_RETURN(auto step, read_normalizer(JsonFields(*part, "the normalizer")));
    chain.push_back(std::move(step));
  }
  return chain;
}

Result<SplitterChain> read_json_pre_tokenizer(const json& document) {
  SplitterChain chain;
  ASSIGN_OR_RETURN(const auto parts, flat_parts(part_of(document, "pre_tokenizer"),
                                                "the pre_tokenizer", "pretokenizers"));
  for (const json* part : parts) {
    RETURN_IF_ERROR(append_splitter(JsonFields(*part, "the pre_tokenizer"), chain));
  }
  return chain;
}

Result<DecodeChain> read_json_decoder(const json& document) {
  DecodeChain chain;
  bool is_fused = false;
  ASSIGN_OR_RETURN(const auto parts,
                   flat_parts(part_of(document, "decoder"), "the decoder", "decoders"));
  for (const json* part : parts) {
    ASSIGN_OR_RETURN(auto step, read_decoder(JsonFields(*part, "the decoder"), is_fused));
    chain.push_back(std::move(step));
  }
  if (chain.empty()) chain.push_back(make_join_decoder());
  return chain;
}

}  // namespace nibble
