// Sums of products of codes where the machine adds two products at a time, in int16: as many
// vectors are added as int16 can hold, then widened and multiplied with their scale at once.
// dots_of_four-inl.h offers the same members for machines that add four.

// What the codes of U are multiplied as: here as they are.
template <typename U>
using Multiplied = U;
// Those codes out of U's.
template <typename U>
inline VecI8 multiplied_codes(VecI8 codes) {
  return codes;
}

inline constexpr int kTilesAtOnce = 1;  // that share what is loaded of the columns

struct NoScale {};  // of codes without an integer scale

// Vectors of four codes of each of eight rows, one scale a row, times four activations.
template <typename U, typename L>
struct Dots {
  using Sum = VecI16;
  static constexpr int kWords = [] {  // vectors that one sum takes: a power of two, at most eight
    int n = 8;
    while (n > 1 && (n > kPresum<U> || n > U::kSub / 4)) n /= 2;
    return n;
  }();
  static Sum first(VecI8 codes, VecI8 a) { return dot_codes<U>(codes, a); }
  static Sum next(Sum sum, VecI8 codes, VecI8 a) { return add(sum, dot_codes<U>(codes, a)); }
  // total + scale * sum; the scale of a row stands in both halves of its lane.
  static VecI32 add_to(VecI32 total, Sum sum, VecI16 scale) {
    return add(total, dot_pairs(sum, scale));
  }
  static VecI32 add_to(VecI32 total, Sum sum, NoScale) { return add_to(total, sum, i16_set1(1)); }
};

// One step of the int8 probe.
inline VecI32 probe_step(VecI32 sum, VecI8 u, VecI8 s) {
  return add(sum, dot_pairs(dot_u8(u, s), i16_set1(1)));
}
