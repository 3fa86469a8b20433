# Everything comes from the distribution's packages; scripts/install-dependencies names them. Of what the project around
# this one has, nothing is looked for again.
list(PREPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})

find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(OneDNN REQUIRED)
find_package(Highway REQUIRED)
if(NOT TARGET fmt::fmt)
  find_package(fmt REQUIRED)
endif()
if(NOT TARGET nlohmann_json::nlohmann_json)
  find_package(nlohmann_json REQUIRED)
endif()

if(RETAPE_TRAINER)
  if(NOT TARGET CLI11::CLI11)
    find_package(CLI11 REQUIRED)
  endif()
  find_path(RETAPE_TOMLPLUSPLUS_INCLUDE toml++/toml.h REQUIRED) # used as headers only
endif()

if(RETAPE_TESTS)
  if(NOT TARGET GTest::gmock)
    find_package(GTest REQUIRED)
  endif()
  if(NOT TARGET benchmark::benchmark)
    find_package(benchmark REQUIRED)
  endif()
endif()
