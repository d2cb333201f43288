// Sums of products of codes where the machine adds four products of bytes to an int32 lane in one
// instruction (dot_four of the vector vocabulary); the members are those of dots_of_two-inl.h.

// A first factor without sign (VNNI): signed codes are taken 128 larger, and 128 times the sum of
// the activations is subtracted. Codes with a float scale for every 16 stay signed: activations
// have no sums of so few.
template <typename U>
struct Raised : U {
  static constexpr bool kSigned = false;
  static constexpr int kOffset = 128, kLargest = 255;
  static constexpr Minimum kMinimum = U::kScaled ? Minimum::kSubScale : Minimum::kOffset;
};
template <typename U>
inline constexpr bool kIsRaised = kFourWantsUnsigned&& U::kSigned && (U::kScaled || U::kSub >= 32);
template <typename U>
using Multiplied = std::conditional_t<kIsRaised<U>, Raised<U>, U>;
template <typename U>
inline VecI8 multiplied_codes(VecI8 codes) {
  if constexpr (kIsRaised<U>) return flip_signs(codes);
  return codes;
}

inline constexpr int kTileGroups = 2;

struct NoScale {};

template <typename U>
struct Dots {
  static constexpr bool kByTwo = kFourWantsUnsigned && U::kSigned;
  using Sum = std::conditional_t<kByTwo, VecI16, VecI32>;
  static constexpr int kWords = kByTwo ? 1 : U::kSub >= 32 ? 8 : U::kSub / 4;
  static Sum first(VecI8 codes, VecI8 a) {
    if constexpr (kByTwo) {
      return dot_codes<U>(codes, a);
    } else {
      return dot_four(i32_zero(), codes, a);
    }
  }
  static Sum next(Sum sum, VecI8 codes, VecI8 a) {
    if constexpr (kByTwo) {
      return add(sum, dot_codes<U>(codes, a));
    } else {
      return dot_four(sum, codes, a);
    }
  }
  static VecI32 add_to(VecI32 total, Sum sum, VecI16 scale) {
    return add(total, mul(sum, high_halves(scale)));
  }
  static VecI32 add_to(VecI32 total, Sum sum, NoScale) {
    if constexpr (kByTwo) {
      return add(total, dot_pairs(sum, i16_set1(1)));
    } else {
      return add(total, sum);
    }
  }
};

inline VecI32 probe_step(VecI32 sum, VecI8 u, VecI8 s) { return dot_four(sum, u, s); }
