# Highway as retape::highway. Distributions ship no package file for it that all their versions have.
find_library(RETAPE_HIGHWAY_LIBRARY hwy)
find_path(RETAPE_HIGHWAY_INCLUDE hwy/highway.h)
mark_as_advanced(RETAPE_HIGHWAY_LIBRARY RETAPE_HIGHWAY_INCLUDE)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Highway REQUIRED_VARS RETAPE_HIGHWAY_LIBRARY RETAPE_HIGHWAY_INCLUDE)
if(Highway_FOUND AND NOT TARGET retape::highway)
  add_library(retape::highway UNKNOWN IMPORTED)
  set_target_properties(
    retape::highway PROPERTIES IMPORTED_LOCATION ${RETAPE_HIGHWAY_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES
                               ${RETAPE_HIGHWAY_INCLUDE} INTERFACE_COMPILE_DEFINITIONS HWY_SHARED_DEFINE)
endif()
