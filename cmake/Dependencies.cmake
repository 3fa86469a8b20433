# Everything comes from the distribution's packages; scripts/install-dependencies names them.
find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(fmt REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(hwy REQUIRED IMPORTED_TARGET libhwy)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)

# oneDNN: Debian's CMake package file asks for OpenCL, which the CPU library does not need.
find_library(RETAPE_ONEDNN_LIBRARY dnnl REQUIRED)
find_path(RETAPE_ONEDNN_INCLUDE dnnl.hpp REQUIRED)
add_library(retape_onednn INTERFACE)
target_link_libraries(retape_onednn INTERFACE ${RETAPE_ONEDNN_LIBRARY})
target_include_directories(retape_onednn SYSTEM INTERFACE ${RETAPE_ONEDNN_INCLUDE})

# TOML++ is used as headers only.
find_path(RETAPE_TOMLPLUSPLUS_INCLUDE toml++/toml.h REQUIRED)

if(RETAPE_TESTS)
  find_package(GTest REQUIRED)
  find_package(benchmark REQUIRED)
endif()
