# LibTorch, and whether the CUDA library is built: LOCKSTEP_HAS_CUDA.
find_package(LibTorch 2.11 REQUIRED OPTIONAL_COMPONENTS CUDA)
find_program(LOCKSTEP_NVCC nvcc HINTS /usr/local/cuda/bin)
set(LOCKSTEP_HAS_CUDA FALSE)
if(NOT LOCKSTEP_CUDA STREQUAL "OFF" AND LibTorch_CUDA_FOUND AND LOCKSTEP_NVCC)
  set(LOCKSTEP_HAS_CUDA TRUE)
elseif(LOCKSTEP_CUDA STREQUAL "ON")
  message(FATAL_ERROR "LOCKSTEP_CUDA is ON, but there is no CUDA toolkit with NCCL (nvcc: ${LOCKSTEP_NVCC}); "
                      "install one, or configure with -DLOCKSTEP_CUDA=OFF")
endif()
message(STATUS "LibTorch ${LibTorch_VERSION} in ${LibTorch_LOCATION}, CUDA library: ${LOCKSTEP_HAS_CUDA}")
