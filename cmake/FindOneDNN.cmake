# oneDNN as retape::onednn. Its own package file is not asked: Debian's wants OpenCL, which the CPU library does not need.
find_library(RETAPE_ONEDNN_LIBRARY dnnl)
find_path(RETAPE_ONEDNN_INCLUDE oneapi/dnnl/dnnl.hpp)
mark_as_advanced(RETAPE_ONEDNN_LIBRARY RETAPE_ONEDNN_INCLUDE)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OneDNN REQUIRED_VARS RETAPE_ONEDNN_LIBRARY RETAPE_ONEDNN_INCLUDE)
if(OneDNN_FOUND AND NOT TARGET retape::onednn)
  add_library(retape::onednn UNKNOWN IMPORTED)
  set_target_properties(retape::onednn PROPERTIES IMPORTED_LOCATION ${RETAPE_ONEDNN_LIBRARY}
                                                  INTERFACE_INCLUDE_DIRECTORIES ${RETAPE_ONEDNN_INCLUDE})
endif()
