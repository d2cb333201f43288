# One row per ISA: its one file in src/kernels, and the flags only that file is compiled with.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties(${CMAKE_SOURCE_DIR}/src/kernels/isa_avx2.cpp PROPERTIES
    COMPILE_OPTIONS "-mavx2;-mfma;-mf16c;-mbmi2" TARGET_DIRECTORY nibble_kernels)
endif()
