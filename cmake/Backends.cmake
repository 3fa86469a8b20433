# What can be missing: RETAPE_WITH_CUDA, RETAPE_WITH_MPI and RETAPE_WITH_NCCL say what this build has.
# A library's folder cuda/, mpi/ or nccl/ holds absent.cpp, which is compiled where the backend is off and says so
# when it is asked for, and the real sources, which are compiled where it is on. retape_library chooses between them.
set(RETAPE_BACKENDS cuda mpi nccl)
set(RETAPE_WITH_CUDA OFF)
set(RETAPE_WITH_MPI OFF)
set(RETAPE_WITH_NCCL OFF)

if(NOT RETAPE_CUDA MATCHES "^(ON|OFF|AUTO)$")
  message(FATAL_ERROR "RETAPE_CUDA: expected ON, OFF or AUTO, got ${RETAPE_CUDA}")
endif()
if(NOT RETAPE_CUDA STREQUAL "OFF")
  find_program(RETAPE_NVCC nvcc HINTS ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  mark_as_advanced(RETAPE_NVCC)
  if(RETAPE_NVCC)
    set(level STATUS)
    if(RETAPE_CUDA STREQUAL "ON")
      set(level WARNING)
    endif()
    message(${level} "CUDA: ${RETAPE_NVCC} is there, but this version has no CUDA kernels yet; building for the CPU only")
  elseif(RETAPE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "RETAPE_CUDA=ON: nvcc was not found in PATH, CUDA_PATH or /usr/local/cuda. "
                        "Install the CUDA toolkit, or configure with -DRETAPE_CUDA=AUTO or OFF.")
  else()
    message(STATUS "CUDA: not found; building for the CPU only")
  endif()
endif()
