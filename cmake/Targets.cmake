# How the libraries and programs of this tree are declared. Whatever a user's target must not get is in retape_flags.

add_library(retape_flags INTERFACE)
if(PROJECT_IS_TOP_LEVEL)
  # A designated initialiser names what differs from the defaults; leaving the rest out is the point of it.
  target_compile_options(retape_flags INTERFACE -Wall -Wextra -Wpedantic -Wno-missing-field-initializers)
  if(RETAPE_WERROR)
    target_compile_options(retape_flags INTERFACE -Werror)
  endif()
  if(gcc12)
    # It sees overlapping copies in std::string's operator+ that are not there (GCC bug 105651).
    target_compile_options(retape_flags INTERFACE -Wno-restrict)
  endif()
else()
  # The warnings that a user asks for, of all targets it may be, are about the user's sources.
  target_compile_options(retape_flags INTERFACE -w)
endif()
# Libraries can be linked into shared ones of users; calls inside them are as direct as if they could not.
target_compile_options(retape_flags INTERFACE -fno-semantic-interposition)
target_link_libraries(retape_flags INTERFACE OpenMP::OpenMP_CXX)
if(RETAPE_SANITIZE)
  # The sanitizers' own instructions make GCC lose track of what is initialised.
  target_compile_options(retape_flags INTERFACE -fsanitize=${RETAPE_SANITIZE} -fno-omit-frame-pointer
                                                $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(retape_flags INTERFACE -fsanitize=${RETAPE_SANITIZE})
endif()

# The sources of the folder it is called in; of its sub-folders too with `recurse`, where a backend's folder (see
# Backends.cmake) gives absent.cpp or all the others.
function(retape_sources variable recurse)
  if(recurse)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.cpp)
  else()
    file(GLOB sources CONFIGURE_DEPENDS *.cpp)
  endif()
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$") # a program of its own
  foreach(backend ${RETAPE_BACKENDS})
    string(TOUPPER RETAPE_WITH_${backend} enabled)
    set(absent ${sources})
    list(FILTER absent INCLUDE REGEX "/${backend}/absent\\.cpp$")
    if(${enabled})
      list(REMOVE_ITEM sources ${absent})
    else()
      list(FILTER sources EXCLUDE REGEX "/${backend}/[^/]+$")
      list(APPEND sources ${absent})
    endif()
  endforeach()
  set(${variable} ${sources} PARENT_SCOPE)
endfunction()

# retape_library(NAME [RECURSE] [INTERNAL] [DEPENDS targets...] [PRIVATE targets...]): the library of the folder it is
# called in, as retape::NAME. Every .cpp of the folder belongs to it, so that adding a file touches no list; with RECURSE
# those of its sub-folders do too. Who links it gets what it DEPENDS on. INTERNAL: it is not installed.
# retape_NAME_sources lists the sources.
function(retape_library name)
  cmake_parse_arguments(ARG "RECURSE;INTERNAL" "" "DEPENDS;PRIVATE" ${ARGN})
  retape_sources(sources ${ARG_RECURSE})
  set(target retape_${name})
  set(${target}_sources ${sources} PARENT_SCOPE)
  if(sources)
    set(scope PUBLIC)
    add_library(${target} STATIC ${sources}) # whatever BUILD_SHARED_LIBS says
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:retape_flags> ${ARG_PRIVATE})
    retape_compile_alike(${target})
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  else()
    set(scope INTERFACE)
    add_library(${target} INTERFACE)
  endif()
  add_library(retape::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  target_link_libraries(${target} ${scope} ${ARG_DEPENDS})
  target_compile_features(${target} ${scope} cxx_std_20)
  if(PROJECT_IS_TOP_LEVEL)
    set(system "")
  else()
    set(system SYSTEM) # no warnings of headers either
  endif()
  target_include_directories(${target} ${system} ${scope} $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
  if(RETAPE_INSTALL AND NOT ARG_INTERNAL)
    set_property(GLOBAL APPEND PROPERTY RETAPE_INSTALLED_LIBRARIES ${target})
  endif()
endfunction()

# retape_program(NAME SOURCES sources... [DEPENDS targets...]): the program NAME, of the target retape_NAME_program, which
# in this project, but not in one around it, may be called NAME on the command line.
function(retape_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  set(target retape_${name}_program)
  add_executable(${target} ${ARG_SOURCES})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name})
  target_link_libraries(${target} PRIVATE retape_flags ${ARG_DEPENDS})
  retape_compile_alike(${target})
  if(PROJECT_IS_TOP_LEVEL)
    add_custom_target(${name} DEPENDS ${target})
  endif()
endfunction()

# Whatever the project around this one says. Without GNU's extensions, which contract a * b + c: every build must give the
# same bits. Sources are compiled one by one, since each has names of its own.
function(retape_compile_alike target)
  set_target_properties(${target} PROPERTIES CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF UNITY_BUILD OFF)
endfunction()
