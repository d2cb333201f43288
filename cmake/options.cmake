# Compile options that every target of ours shares.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

set(NIBBLE_SANITIZE "" CACHE STRING "Sanitizers, comma separated: address,undefined | thread | fuzzer-no-link,...")

add_library(nibble_options INTERFACE)
target_include_directories(nibble_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
# Results are bitwise reproducible: no contraction of a*b+c unless the text says fma.
target_compile_options(nibble_options INTERFACE -Wall -Wextra -Wconversion -Wshadow -Werror
                                                -ffp-contract=off -fno-math-errno)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # False alarms inside inlined std::string and fmt code (GCC bug 105651).
  target_compile_options(nibble_options INTERFACE -Wno-restrict -Wno-stringop-overflow)
endif()
if(NIBBLE_SANITIZE)
  target_compile_options(nibble_options INTERFACE -fsanitize=${NIBBLE_SANITIZE}
                                                  -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(nibble_options INTERFACE -fsanitize=${NIBBLE_SANITIZE})
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()
