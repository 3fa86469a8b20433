option(RETAPE_TESTS "Build the tests and benchmarks" ON)
set(RETAPE_CUDA AUTO CACHE STRING "Use CUDA: ON, OFF or AUTO (when it is found)")
set(RETAPE_MARCH native CACHE STRING "Instruction set of the CPU kernels (-march)")
set(RETAPE_SANITIZE "" CACHE STRING "Sanitizers, as in -fsanitize=: address,undefined or thread")

# GCC 12 is the compiler of every change; what a newer one warns about must not keep anybody from building.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  set(gcc12 ON)
else()
  set(gcc12 OFF)
endif()
option(RETAPE_WERROR "Treat compiler warnings as errors" ${gcc12})

add_library(retape_flags INTERFACE)
target_include_directories(retape_flags INTERFACE ${CMAKE_SOURCE_DIR})
# A designated initialiser names what differs from the defaults; leaving the rest out is the point of it.
target_compile_options(retape_flags INTERFACE -Wall -Wextra -Wpedantic -Wno-missing-field-initializers)
if(RETAPE_WERROR)
  target_compile_options(retape_flags INTERFACE -Werror)
endif()
if(gcc12)
  # It sees overlapping copies in std::string's operator+ that are not there (GCC bug 105651).
  target_compile_options(retape_flags INTERFACE -Wno-restrict)
endif()
if(RETAPE_SANITIZE)
  # The sanitizers' own instructions make GCC lose track of what is initialised.
  target_compile_options(retape_flags INTERFACE -fsanitize=${RETAPE_SANITIZE} -fno-omit-frame-pointer
                                                -Wno-maybe-uninitialized)
  target_link_options(retape_flags INTERFACE -fsanitize=${RETAPE_SANITIZE})
endif()

find_program(RETAPE_CCACHE ccache)
if(RETAPE_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${RETAPE_CCACHE})
endif()
