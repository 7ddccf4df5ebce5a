# What programs load and how the torch-free parts are compiled. Run by ctest:
#   cmake -DBUILD=<build folder> -DREADELF=<program> -P linkage.cmake
cmake_minimum_required(VERSION 3.25)

function(must_not_load file pattern)
  if(NOT EXISTS "${BUILD}/${file}")
    message(FATAL_ERROR "${file} was not built")
  endif()
  execute_process(COMMAND ldd "${BUILD}/${file}" OUTPUT_VARIABLE libraries COMMAND_ERROR_IS_FATAL ANY)
  if(libraries MATCHES "lib(${pattern})[^ \n]*")
    message(FATAL_ERROR "${file} loads ${CMAKE_MATCH_0}, it must not")
  endif()
endfunction()

must_not_load(bin/lockstep "torch|c10|mpi|open-rte|hdf5|cuda|nccl")
if(EXISTS "${BUILD}/bin/lockstep-train")
  must_not_load(bin/lockstep-data "torch|c10|mpi|open-rte|cuda|nccl")
  must_not_load(bin/lockstep-train "torch_cuda|nccl|cublas|cudnn")   # the CUDA library is loaded when a GPU is used
endif()

# core and launchers are compiled without the folders in which LibTorch, MPI, HDF5 and CUDA have their headers.
file(READ "${BUILD}/compile_commands.json" commands)
string(JSON count LENGTH "${commands}")
math(EXPR last "${count} - 1")
set(seen 0)
foreach(index RANGE ${last})
  string(JSON file GET "${commands}" ${index} file)
  if(file MATCHES "/(core|launchers)/[^/]+\\.cpp$")
    string(JSON command GET "${commands}" ${index} command)
    math(EXPR seen "${seen} + 1")
    if(command MATCHES "(-I|-isystem) ?[^ ]*(torch|openmpi|mpich|hdf5|cuda)[^ ]*/include")
      message(FATAL_ERROR "${file} is compiled with ${CMAKE_MATCH_0}")
    endif()
  endif()
endforeach()
if(seen LESS 15)
  message(FATAL_ERROR "only ${seen} sources of core and launchers in ${BUILD}/compile_commands.json")
endif()
message(STATUS "the control program and ${seen} of its sources are free of LibTorch, MPI, HDF5 and CUDA")
