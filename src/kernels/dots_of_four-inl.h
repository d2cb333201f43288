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
  if constexpr (kIsRaised<U>) return add(codes, i8_set1(-128));
  return codes;
}

inline constexpr int kTilesAtOnce = 2;

struct NoScale {};

template <typename U, typename L>
struct Dots {
  using I8 = typename L::I8;
  using Sum = typename L::I32;
  static constexpr int kWords = U::kSub >= 32 ? 8 : U::kSub / 4;
  static Sum first(I8 codes, I8 a) { return next(L::set_i32(0), codes, a); }
  static Sum next(Sum sum, I8 codes, I8 a) {
    if constexpr (kFourWantsUnsigned && U::kSigned) {
      return dot_four_signed(sum, codes, a);
    } else {
      return dot_four(sum, codes, a);
    }
  }
  static Sum add_to(Sum total, Sum sum, typename L::I16 scale) {
    return add(total, mul(sum, high_halves(scale)));
  }
  static Sum add_to(Sum total, Sum sum, NoScale) { return add(total, sum); }
};

template <typename I32, typename I8>
inline I32 probe_step(I32 sum, I8 u, I8 s) {
  return dot_four(sum, u, s);
}
