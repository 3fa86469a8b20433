# Installs the libraries from BINARY_DIR, moves what was installed to PREFIX, and fails where it still names the places
# that it came from.
file(REMOVE_RECURSE ${PREFIX} ${PREFIX}.moved)
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BINARY_DIR} --prefix ${PREFIX}.moved --component retape_development
                COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
file(RENAME ${PREFIX}.moved ${PREFIX})

file(GLOB_RECURSE installed ${PREFIX}/*.cmake)
if(NOT installed)
  message(FATAL_ERROR "no CMake package was installed")
endif()
foreach(file ${installed})
  file(READ ${file} text)
  foreach(place ${SOURCE_DIR} ${BINARY_DIR} ${PREFIX} /usr/lib /usr/include)
    string(FIND "${text}" "${place}" found)
    if(NOT found EQUAL -1)
      message(SEND_ERROR "${file} names ${place}")
    endif()
  endforeach()
endforeach()

file(GLOB_RECURSE own ${PREFIX}/include/*/cpu/*.h ${PREFIX}/include/*/cuda/*.h)
if(own)
  message(SEND_ERROR "headers of a backend were installed: ${own}")
endif()
