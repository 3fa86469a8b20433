# What is decided only where Retape is the whole project, and not a part of somebody else's.
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(RETAPE_CCACHE ccache)
if(RETAPE_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${RETAPE_CCACHE})
endif()
