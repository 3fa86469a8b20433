# The package: find_package(retape), headers under include/retape, libraries; and the trainer where it is built.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/retape)

get_property(libraries GLOBAL PROPERTY RETAPE_INSTALLED_LIBRARIES)
install(
  TARGETS ${libraries}
  EXPORT retape
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT retape_development
  INCLUDES
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/retape)
install(
  EXPORT retape
  NAMESPACE retape::
  FILE retapeTargets.cmake
  DESTINATION ${package_dir}
  COMPONENT retape_development)

# What is in a backend's folder is that backend's own.
set(own ${RETAPE_BACKENDS} cpu)
list(TRANSFORM own REPLACE "(.+)" "PATTERN;\\1;EXCLUDE")
install(
  DIRECTORY nn parallel data checkpointing
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/retape
  COMPONENT retape_development
  FILES_MATCHING
  PATTERN "*.h" ${own})

configure_package_config_file(cmake/retapeConfig.cmake.in ${PROJECT_BINARY_DIR}/retapeConfig.cmake
                              INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/retapeConfigVersion.cmake VERSION ${version}
                                 COMPATIBILITY SameMinorVersion)
install(
  FILES ${PROJECT_BINARY_DIR}/retapeConfig.cmake ${PROJECT_BINARY_DIR}/retapeConfigVersion.cmake
        cmake/FindOneDNN.cmake cmake/FindHighway.cmake
  DESTINATION ${package_dir}
  COMPONENT retape_development)

if(RETAPE_TRAINER)
  install(TARGETS retape_trainer_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT retape_trainer)
endif()
