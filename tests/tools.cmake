# The project's own rules, checked with every test run.
find_package(Python3 COMPONENTS Interpreter REQUIRED)
add_test(NAME tools.floors
         COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/check_floors.py ${CMAKE_SOURCE_DIR})
add_test(NAME tools.sizes
         COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/check_sizes.py ${CMAKE_SOURCE_DIR})
add_test(NAME tools.format_places
         COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/check_format_places.py
                 ${CMAKE_SOURCE_DIR})
add_test(NAME tools.checks_self_test
         COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/test_checks.py)
foreach(report formats_report performance_report)
  add_test(NAME tools.${report}
           COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/${report}.py --check
                   ${CMAKE_SOURCE_DIR})
endforeach()
