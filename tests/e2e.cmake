# The built programs from outside: exit codes, streams, files. One ctest case per file.
find_package(Python3 COMPONENTS Interpreter REQUIRED)
file(GLOB e2e_tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/e2e/test_*.py)
foreach(test_file ${e2e_tests})
  get_filename_component(test_name ${test_file} NAME_WE)
  string(REGEX REPLACE "^test_" "" test_name ${test_name})
  add_test(NAME e2e.${test_name} COMMAND ${Python3_EXECUTABLE} ${test_file})
  set_tests_properties(e2e.${test_name} PROPERTIES TIMEOUT 900 ENVIRONMENT
    "NIBBLE_BIN=$<TARGET_FILE:nibble>;NIBBLE_LAB_BIN=$<TARGET_FILE:nibble-lab>;NIBBLE_DEMO_MODEL=${NIBBLE_DEMO_MODEL};PYTHONDONTWRITEBYTECODE=1")
endforeach()

# Preloaded by test_faults.py. Not of our library: it must not bring a sanitizer's runtime along.
add_library(nibble_io_faults MODULE ${CMAKE_SOURCE_DIR}/tests/e2e/io_faults.cpp)
target_link_libraries(nibble_io_faults PRIVATE ${CMAKE_DL_LIBS})
set_property(TEST e2e.faults e2e.kill APPEND PROPERTY ENVIRONMENT
             "NIBBLE_IO_FAULTS=$<TARGET_FILE:nibble_io_faults>")
