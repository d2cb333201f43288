#include "text/sentencepiece.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "base/utf8.h"

namespace nibble {
namespace {

// One field of a protocol buffer message: a varint or four or eight bytes as `number`, or `bytes`.
struct Field {
  uint32_t id = 0;
  int wire = 0;  // 0 varint, 1 64 bits, 2 length and bytes, 5 32 bits
  uint64_t number = 0;
  std::string_view bytes;
};

// Walks the fields of a message.
class Message {
 public:
  explicit Message(std::string_view bytes) : rest_(bytes) {}

  // nullopt at the end and when the bytes are no message (then ok() is false).
  std::optional<Field> next() {
    if (rest_.empty() || !ok_) return std::nullopt;
    Field field;
    uint64_t tag = 0;
    ok_ = varint(tag) && tag >> 3 != 0 && tag >> 3 < uint64_t{1} << 29;
    field.id = static_cast<uint32_t>(tag >> 3);
    field.wire = static_cast<int>(tag & 7);
    if (!ok_) return std::nullopt;
    switch (field.wire) {
      case 0:
        ok_ = varint(field.number);
        break;
      case 1:
        ok_ = fixed(8, field.number);
        break;
      case 5:
        ok_ = fixed(4, field.number);
        break;
      case 2: {
        uint64_t length = 0;
        ok_ = varint(length) && length <= rest_.size();
        if (!ok_) break;
        field.bytes = rest_.substr(0, length);
        rest_.remove_prefix(length);
        break;
      }
      default:  // groups, which nothing here has
        ok_ = false;
    }
    if (!ok_) return std::nullopt;
    return field;
  }
  bool ok() const { return ok_; }

 private:
  bool varint(uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_[0]);
      rest_.remove_prefix(1);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool fixed(size_t n, uint64_t& value) {
    if (rest_.size() < n) return false;
    value = 0;
    for (size_t i = 0; i < n; ++i) {
      value |= uint64_t{static_cast<unsigned char>(rest_[i])} << (8 * i);
    }
    rest_.remove_prefix(n);
    return true;
  }

  std::string_view rest_;
  bool ok_ = true;
};

// The numbers of sentencepiece_model.proto.
enum ModelField : uint32_t { kPieces = 1, kTrainerSpec = 2, kNormalizerSpec = 3 };
enum PieceField : uint32_t { kPiece = 1, kScore = 2, kType = 3 };
enum TrainerField : uint32_t {
  kModelType = 3,
  kWhitespaceAsSuffix = 24,
  kUnkId = 40,
  kBosId = 41,
  kEosId = 42,
  kPadId = 43
};
enum NormalizerField : uint32_t {
  kCharsmap = 2,
  kAddDummyPrefix = 3,
  kRemoveExtraWhitespaces = 4,
  kEscapeWhitespaces = 5
};
enum ModelType : uint64_t { kUnigramModel = 1, kBpeModel = 2 };

struct Reader {
  std::string_view where;
  VocabularyData data;
  uint64_t model_type = kUnigramModel;
  bool whitespace_as_suffix = false, escapes_whitespace = true;

  Error damaged(std::string_view what) const {
    return make_error(ErrorKind::kInvalid,
                      "[{}] is no SentencePiece model: {}; the file is damaged or something else",
                      where, what);
  }

  Status read_piece(std::string_view bytes) {
    std::string text;
    float score = 0;
    uint64_t type = static_cast<uint64_t>(TokenType::kNormal);
    Message message(bytes);
    while (const auto field = message.next()) {
      if (field->id == kPiece && field->wire == 2) text = field->bytes;
      if (field->id == kScore && field->wire == 5) {
        score = std::bit_cast<float>(static_cast<uint32_t>(field->number));
      }
      if (field->id == kType && field->wire == 0) type = field->number;
    }
    const size_t id = data.tokens.size();
    if (!message.ok()) return damaged(fmt::format("piece {} is cut off", id));
    if (type < 1 || type > 6) return damaged(fmt::format("piece {} has the type {}", id, type));
    if (!std::isfinite(score)) return damaged(fmt::format("piece {} has no finite score", id));
    if (!is_valid_utf8(text)) return damaged(fmt::format("piece {} is not UTF-8", id));
    // The numbers of the types are those of GGUF, which took them from here.
    data.tokens.push_back(std::move(text));
    data.types.push_back(static_cast<TokenType>(type));
    data.scores.push_back(score);
    return {};
  }

  Status read_trainer(std::string_view bytes) {
    Message message(bytes);
    const auto id_of = [](uint64_t number) {
      const auto id = static_cast<int64_t>(number);
      return id < 0 || id > INT32_MAX ? -1 : static_cast<int32_t>(id);
    };
    while (const auto field = message.next()) {
      if (field->wire != 0) continue;
      switch (field->id) {
        case kModelType:
          model_type = field->number;
          break;
        case kWhitespaceAsSuffix:
          whitespace_as_suffix = field->number != 0;
          break;
        case kUnkId:
          data.unknown = id_of(field->number);
          break;
        case kBosId:
          data.bos = id_of(field->number);
          break;
        case kEosId:
          data.eos = id_of(field->number);
          break;
        case kPadId:
          data.padding = id_of(field->number);
          break;
        default:
          break;
      }
    }
    return message.ok() ? Status() : damaged("its trainer_spec is cut off");
  }

  Status read_normalizer(std::string_view bytes) {
    Message message(bytes);
    while (const auto field = message.next()) {
      if (field->id == kCharsmap && field->wire == 2) data.precompiled_charsmap = field->bytes;
      if (field->wire != 0) continue;
      if (field->id == kAddDummyPrefix) data.add_space_prefix = field->number != 0;
      if (field->id == kRemoveExtraWhitespaces) data.remove_extra_whitespaces = field->number != 0;
      if (field->id == kEscapeWhitespaces) escapes_whitespace = field->number != 0;
    }
    return message.ok() ? Status() : damaged("its normalizer_spec is cut off");
  }
};

}  // namespace

Result<VocabularyData> read_sentencepiece(std::string_view bytes, std::string_view where) {
  Reader reader;
  reader.where = where;
  VocabularyData& data = reader.data;
  // What the fields mean when the file leaves them out.
  data.unknown = 0;
  data.bos = 1;
  data.eos = 2;
  data.remove_extra_whitespaces = true;
  Message message(bytes);
  while (const auto field = message.next()) {
    if (field->wire != 2) continue;
    if (field->id == kPieces) RETURN_IF_ERROR(reader.read_piece(field->bytes));
    if (field->id == kTrainerSpec) RETURN_IF_ERROR(reader.read_trainer(field->bytes));
    if (field->id == kNormalizerSpec) RETURN_IF_ERROR(reader.read_normalizer(field->bytes));
  }
  if (!message.ok()) return reader.damaged("a field is cut off");
  if (data.tokens.empty()) return reader.damaged("it has no pieces");
  if (reader.model_type != kUnigramModel && reader.model_type != kBpeModel) {
    return make_error(
        ErrorKind::kFailure,
        "[{}] the SentencePiece model has the type {}; nibble knows 1 (unigram) and 2 "
        "(BPE), not word and char models",
        where, reader.model_type);
  }
  if (reader.whitespace_as_suffix || !reader.escapes_whitespace) {
    return make_error(ErrorKind::kFailure,
                      "[{}] the SentencePiece model puts spaces behind words or keeps them as they "
                      "are, which nibble does not do",
                      where);
  }
  const auto n = static_cast<int64_t>(data.tokens.size());
  for (int32_t* id : {&data.unknown, &data.bos, &data.eos, &data.padding}) {
    if (*id >= n) *id = -1;
  }
  const bool is_bpe = reader.model_type == kBpeModel;
  data.model = is_bpe ? "llama" : "t5";
  data.add_bos = is_bpe && data.bos >= 0;
  data.add_eos = !is_bpe && data.eos >= 0;
  if (is_bpe && (!data.precompiled_charsmap.empty() || data.remove_extra_whitespaces)) {
    data.warnings.push_back(fmt::format(
        "{} rewrites characters or spaces before it cuts text, which llama.cpp does not "
        "do for this kind: it will cut some texts differently",
        where));
  }
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::create(data));
  return std::move(data);
}

}  // namespace nibble
