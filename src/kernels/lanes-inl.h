// The vector types in one width, for kernels that are written for any (tiles, panels of floats): as
// many groups of eight lanes side by side as kGroups says. An ISA that multiplies in wider vectors
// has a second such struct; WideLanes is the widest.
struct Lanes8 {
  static constexpr int kGroups = 1;
  using I8 = VecI8;
  using I16 = VecI16;
  using I32 = VecI32;
  using F32 = VecF32;
  static I8 load_i8(const void* p) { return i8_load(p); }
  static I8 repeat4_i8(const void* p) { return i8_broadcast4(p); }
  static I16 load_i16(const void* p) { return i16_load(p); }
  static I16 repeat2_i16(const void* p) { return i16_broadcast2(p); }
  static I32 set_i32(int32_t x) { return i32_set1(x); }
  static F32 load_f32(const float* p) { return f32_load(p); }
  static F32 repeat8_f32(const float* p) { return f32_load(p); }  // the same eight in every group
  // Eight numbers of each group, `stride` apart, as floats.
  static F32 groups_f16(const uint16_t* p, int64_t) { return f32_load_f16(p); }
  static F32 groups_i8(const int8_t* p, int64_t) { return f32_from_i8(p); }
  static F32 set_f32(float x) { return f32_set1(x); }
  static void store_f32(float* p, F32 a) { f32_store(p, a); }
  static VecF32 group(F32 a, int) { return a; }
};
