# One row per ISA: its files in src/kernels (isa_ and encode_), and the flags only they are compiled
# with.
#
# -fno-tree-ter: g++ 12 otherwise moves the additions of a chain of byte products behind all of the
# products, which then spill; with it the inner loop of a 4-bit tile has no spill (149 instructions
# instead of 176).
set(NIBBLE_KERNEL_FLAGS $<$<CXX_COMPILER_ID:GNU>:-fno-tree-ter>)
# g++ 12 takes the undefined vectors in its own AVX-512 intrinsics for mistakes.
set(NIBBLE_AVX512_WARNINGS
  $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized>;$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/kernels/isa_avx2.cpp
    ${CMAKE_SOURCE_DIR}/src/kernels/encode_avx2.cpp PROPERTIES
    COMPILE_OPTIONS "-mavx2;-mfma;-mf16c;-mbmi2;${NIBBLE_KERNEL_FLAGS}"
    TARGET_DIRECTORY nibble_kernels)
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/kernels/isa_avx512.cpp PROPERTIES
    COMPILE_OPTIONS "-mavx2;-mfma;-mf16c;-mbmi2;-mavx512f;-mavx512vl;-mavx512bw;-mavx512dq;-mavx512vnni;-mprefer-vector-width=256;${NIBBLE_KERNEL_FLAGS};${NIBBLE_AVX512_WARNINGS}"
    TARGET_DIRECTORY nibble_kernels)
elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/kernels/isa_neon.cpp PROPERTIES
    COMPILE_OPTIONS "-march=armv8.2-a+dotprod;${NIBBLE_KERNEL_FLAGS}"
    TARGET_DIRECTORY nibble_kernels)
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/kernels/isa_neon_i8mm.cpp PROPERTIES
    COMPILE_OPTIONS "-march=armv8.2-a+dotprod+i8mm;${NIBBLE_KERNEL_FLAGS}"
    TARGET_DIRECTORY nibble_kernels)
  # g++ 12 for arm64 otherwise loads the bytes of a vector before it has stored them (IQ1_M, IQ4_XS).
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/kernels/isa_portable.cpp PROPERTIES
    COMPILE_OPTIONS "-fno-strict-aliasing" TARGET_DIRECTORY nibble_kernels)
endif()
