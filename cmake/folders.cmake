# One static library per folder of src/. A new file needs no edit here; a new folder is one line in
# CMakeLists.txt, and its DEPENDS lists only lower floors (tools/check_floors.py proves it).

# nibble_library(<folder> [DEPENDS <folder>...] [LINK <external>...])
function(nibble_library folder)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${folder}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  add_library(nibble_${folder} STATIC ${sources})
  list(TRANSFORM ARG_DEPENDS PREPEND nibble_)
  target_link_libraries(nibble_${folder} PUBLIC nibble_options ${ARG_DEPENDS} PRIVATE ${ARG_LINK})
endfunction()

# nibble_tests(<folder> [LINK <external>...]): tests/<folder>/*_test.cpp, one ctest case per test.
function(nibble_tests folder)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${folder}/*.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(nibble_${folder}_tests ${sources})
  list(TRANSFORM ARG_DEPENDS PREPEND nibble_)
  target_link_libraries(nibble_${folder}_tests PRIVATE nibble_${folder} ${ARG_DEPENDS} ${ARG_LINK}
                                                       GTest::gtest_main)
  target_include_directories(nibble_${folder}_tests PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_definitions(nibble_${folder}_tests PRIVATE
    NIBBLE_TEST_DATA="${CMAKE_SOURCE_DIR}/tests" NIBBLE_TEST_SCRATCH="${CMAKE_BINARY_DIR}/scratch"
    NIBBLE_DEMO_MODEL="${NIBBLE_DEMO_MODEL}")
  gtest_discover_tests(nibble_${folder}_tests TEST_PREFIX ${folder}. DISCOVERY_TIMEOUT 60
                       PROPERTIES TIMEOUT 600)
endfunction()
