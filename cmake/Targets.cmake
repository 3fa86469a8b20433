# retape_library(NAME [DEPENDS targets...]): the library of the folder it is called in.
# Every .cpp of the folder belongs to it, so that adding a file touches no list.
# NAME_sources lists them.
function(retape_library name)
  cmake_parse_arguments(ARG "RECURSE" "" "DEPENDS" ${ARGN})
  if(ARG_RECURSE)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.cpp)
  else()
    file(GLOB sources CONFIGURE_DEPENDS *.cpp)
  endif()
  set(${name}_sources ${sources} PARENT_SCOPE)
  if(sources)
    add_library(${name} STATIC ${sources})
    target_link_libraries(${name} PUBLIC retape_flags ${ARG_DEPENDS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE retape_flags ${ARG_DEPENDS})
  endif()
endfunction()
