// How NEON multiplies tiles (tile-inl.h): 16 codes of eight rows at once, so that 16 of a column
// come in one load, without being repeated. Included inside the namespace of the ISA, behind
// lanes-inl.h.

// By the dot product: a lane of the column's register serves a word of every row.
struct StepLanes : Lanes8 {
  static constexpr int kStep = 16;     // codes of a row
  static constexpr int kTogether = 1;  // columns that share their sums
  using Sums = VecI32;                 // lane = row
  struct Rows {
    VecI8 words[4];
  };
  using Columns = int8x16_t;

  static Sums no_sums() { return i32_zero(); }
  static Rows load_rows(const std::byte* p) {
    return {{i8_load(p), i8_load(p + 32), i8_load(p + 64), i8_load(p + 96)}};
  }
  static Columns load_columns(const int8_t* const codes[kTogether]) { return load_bytes(codes[0]); }
  static Sums multiply(Sums sums, const Rows& rows, Columns column) {
    sums = next<0>(sums, rows, column);
    sums = next<1>(sums, rows, column);
    sums = next<2>(sums, rows, column);
    return next<3>(sums, rows, column);
  }
  template <int w>
  static Sums next(Sums sums, const Rows& rows, Columns column) {
    return {vdotq_laneq_s32(sums.lo, rows.words[w].lo, column, w),
            vdotq_laneq_s32(sums.hi, rows.words[w].hi, column, w)};
  }
  // Each row's scale stands there twice.
  static Sums add_scaled(Sums total, Sums sums, VecI16 scales) {
    const VecI32 scale = high_halves(scales);
    return {vmlaq_s32(total.lo, sums.lo, scale.lo), vmlaq_s32(total.hi, sums.hi, scale.hi)};
  }
  static void part(Sums sums, VecI32 columns[kTogether]) { columns[0] = sums; }
  static void join_words(VecI8*, VecI8*) {}
};

#if defined(__ARM_FEATURE_MATMUL_INT8)
// By I8MM: one instruction adds to four int32 the products of two rows with two columns, eight
// codes each, twice as many as the dot product. (The other half of I8MM, dots of unsigned with
// signed bytes, gains nothing here: codes without sign stay below 128 and are signed ones as well.)
struct PairLanes : Lanes8 {
  static constexpr int kStep = 16, kTogether = 2, kProducts = 2;  // of every byte
  // Rows 2 p and 2 p + 1: of[p] = [2 p, first column] [2 p, second] [2 p + 1, first]
  // [2 p + 1, second].
  struct Sums {
    int32x4_t of[4];
  };
  struct Rows {  // the h-th eight codes of row 2 p, then of row 2 p + 1
    int8x16_t eight[2][4];
  };
  struct Columns {  // likewise
    int8x16_t eight[2];
  };

  static Sums no_sums() {
    const int32x4_t zero = vdupq_n_s32(0);
    return {{zero, zero, zero, zero}};
  }
  static Rows load_rows(const std::byte* p) {
    return {{{load_bytes(p), load_bytes(p + 16), load_bytes(p + 32), load_bytes(p + 48)},
             {load_bytes(p + 64), load_bytes(p + 80), load_bytes(p + 96), load_bytes(p + 112)}}};
  }
  static Columns load_columns(const int8_t* const codes[kTogether]) {
    const int64x2_t first = vreinterpretq_s64_s8(load_bytes(codes[0]));
    const int64x2_t second = vreinterpretq_s64_s8(load_bytes(codes[1]));
    return {{vreinterpretq_s8_s64(vzip1q_s64(first, second)),
             vreinterpretq_s8_s64(vzip2q_s64(first, second))}};
  }
  static Sums multiply(Sums sums, const Rows& rows, const Columns& columns) {
    for (int h = 0; h < 2; ++h) {
      for (int p = 0; p < 4; ++p) {
        sums.of[p] = vmmlaq_s32(sums.of[p], rows.eight[h][p], columns.eight[h]);
      }
    }
    return sums;
  }
  static Sums add_scaled(Sums total, const Sums& sums, VecI16 scales) {
    const int32x4_t scale[4] = {vmovl_s16(vget_low_s16(scales.lo)), vmovl_high_s16(scales.lo),
                                vmovl_s16(vget_low_s16(scales.hi)), vmovl_high_s16(scales.hi)};
    for (int p = 0; p < 4; ++p) total.of[p] = vmlaq_s32(total.of[p], sums.of[p], scale[p]);
    return total;
  }
  static void part(const Sums& sums, VecI32 columns[kTogether]) {
    columns[0] = {vuzp1q_s32(sums.of[0], sums.of[1]), vuzp1q_s32(sums.of[2], sums.of[3])};
    columns[1] = {vuzp2q_s32(sums.of[0], sums.of[1]), vuzp2q_s32(sums.of[2], sums.of[3])};
  }
  static VecI32 probe_step(VecI32 sum, VecI8 a, VecI8 b) {
    return {vmmlaq_s32(sum.lo, a.lo, b.lo), vmmlaq_s32(sum.hi, a.hi, b.hi)};
  }
  static void join_words(VecI8* first, VecI8* second) {
    const VecI32 a = as_i32(*first), b = as_i32(*second);
    *first = as_bytes(VecI32{vzip1q_s32(a.lo, b.lo), vzip2q_s32(a.lo, b.lo)});
    *second = as_bytes(VecI32{vzip1q_s32(a.hi, b.hi), vzip2q_s32(a.hi, b.hi)});
  }
};
#endif
