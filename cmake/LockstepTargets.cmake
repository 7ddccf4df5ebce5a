# What all targets share: one spelling of includes, warnings as errors, where programs land, how tests are declared.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
set(CMAKE_INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g0")       # asserts stay on: a wrong offset must not train on in silence

find_program(LOCKSTEP_CCACHE ccache)
if(LOCKSTEP_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # The checkout's folder is taken out of what is hashed: a second clone finds the first one's objects.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${LOCKSTEP_CCACHE})
endif()

# "lockstep/core/error.h" is the include for us and for users of the installed package alike.
foreach(folder IN ITEMS core launchers data distributed models doctor)
  file(MAKE_DIRECTORY "${PROJECT_BINARY_DIR}/include/lockstep")
  file(CREATE_LINK "${PROJECT_SOURCE_DIR}/${folder}" "${PROJECT_BINARY_DIR}/include/lockstep/${folder}" SYMBOLIC)
endforeach()

add_library(lockstep_settings INTERFACE)
target_compile_options(lockstep_settings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror)
target_include_directories(lockstep_settings INTERFACE "${PROJECT_BINARY_DIR}/include")
if(LOCKSTEP_SANITIZE)
  target_compile_options(lockstep_settings INTERFACE -fsanitize=${LOCKSTEP_SANITIZE} -fno-omit-frame-pointer -g1 -O1)
  target_link_options(lockstep_settings INTERFACE -fsanitize=${LOCKSTEP_SANITIZE})
endif()

set(LOCKSTEP_TEST_PYTHON "" CACHE FILEPATH "Python with torch, h5py and TensorBoard that results are compared with; ./dev test sets it")

# lockstep_library(NAME SOURCES … [PUBLIC …] [PRIVATE …]): lockstep_NAME with the alias lockstep::NAME.
function(lockstep_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(lockstep_${name} ${arg_SOURCES})
  add_library(lockstep::${name} ALIAS lockstep_${name})
  set_target_properties(lockstep_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(lockstep_${name} PUBLIC cxx_std_20)
  # Not linked to lockstep_settings: whoever uses the package must not get our warnings as errors.
  target_compile_options(lockstep_${name} PRIVATE $<TARGET_PROPERTY:lockstep_settings,INTERFACE_COMPILE_OPTIONS>)
  target_include_directories(lockstep_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(lockstep_${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  install(TARGETS lockstep_${name} EXPORT lockstep_targets)
endfunction()

# lockstep_install_headers(FOLDER): as include/lockstep/FOLDER, without those of its tests and programs.
function(lockstep_install_headers folder)
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/${folder}/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/lockstep/${folder}"
    FILES_MATCHING PATTERN "*.h" PATTERN "tests" EXCLUDE PATTERN "program" EXCLUDE PATTERN "commands" EXCLUDE)
endfunction()

# lockstep_program(NAME SOURCES … LINK …): build/bin/NAME, installed.
function(lockstep_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE lockstep_settings ${arg_LINK})
  install(TARGETS ${name})
endfunction()

# A training step allocates hundreds of small aligned blocks; glibc's malloc takes a fifth of the tutorial's step for them, tcmalloc
# almost nothing. Its runtime library is enough; without it training is the same, only slower.
find_library(LOCKSTEP_TCMALLOC NAMES tcmalloc_minimal libtcmalloc_minimal.so.4)
if(LOCKSTEP_TRAINING AND NOT LOCKSTEP_TCMALLOC AND NOT LOCKSTEP_SANITIZE)
  message(STATUS "Lockstep: tcmalloc_minimal is not here (Debian: libtcmalloc-minimal4): small batches will be slower")
endif()
function(lockstep_link_tcmalloc program)
  if(LOCKSTEP_TCMALLOC AND NOT LOCKSTEP_SANITIZE)
    target_link_libraries(${program} PRIVATE -Wl,--push-state,--no-as-needed ${LOCKSTEP_TCMALLOC} -Wl,--pop-state)
  endif()
endfunction()

# lockstep_unit_test(NAME SOURCES … LINK …): one program without MPI; every TEST in it becomes a ctest entry "NAME.Suite.Test".
function(lockstep_unit_test name)
  if(NOT LOCKSTEP_TESTS)
    return()
  endif()
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE lockstep_settings ${arg_LINK} GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
  gtest_discover_tests(${name} TEST_PREFIX "${name}." DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 60 LABELS unit)
endfunction()

# lockstep_test_program(NAME SOURCES … LINK …): what a check in Python runs to get our side of a comparison.
function(lockstep_test_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE lockstep_settings ${arg_LINK})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
endfunction()

# lockstep_python_test(NAME SCRIPT file ARGS …): a check in Python against programs that are not ours. Exit code 77 = skipped,
# and says why. Not registered without LOCKSTEP_TEST_PYTHON.
function(lockstep_python_test name)
  if(NOT LOCKSTEP_TESTS OR NOT LOCKSTEP_TEST_PYTHON)
    return()
  endif()
  cmake_parse_arguments(arg "" "SCRIPT;TIMEOUT;LABEL;PROCESSORS" "ARGS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  if(NOT arg_LABEL)
    set(arg_LABEL interop)
  endif()
  if(NOT arg_PROCESSORS)
    set(arg_PROCESSORS 1)
  endif()
  add_test(NAME ${name} COMMAND ${LOCKSTEP_TEST_PYTHON} ${arg_SCRIPT} ${arg_ARGS} WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS ${arg_LABEL} PROCESSORS ${arg_PROCESSORS} SKIP_RETURN_CODE 77
    ENVIRONMENT "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;OMP_NUM_THREADS=1")
endfunction()

# lockstep_rank_test(NAME RANKS 1 2 4 [NODES] SOURCES … LINK …): the whole program under mpirun, one ctest entry per number of
# ranks. NODES: and one with two ranks on each of two nodes that share no memory. tests/rank_main.cpp is its main(): all ranks
# agree on the verdict.
function(lockstep_rank_test name)
  if(NOT LOCKSTEP_TESTS)
    return()
  endif()
  cmake_parse_arguments(arg "NODES" "TIMEOUT" "RANKS;SOURCES;LINK" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  add_executable(${name} ${arg_SOURCES} "${PROJECT_SOURCE_DIR}/tests/rank_main.cpp")
  target_link_libraries(${name} PRIVATE lockstep_settings ${arg_LINK} MPI::MPI_CXX GTest::gtest)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
  foreach(ranks IN LISTS arg_RANKS)
    add_test(NAME ${name}.np${ranks}
      COMMAND ${MPIEXEC_EXECUTABLE} --oversubscribe --bind-to none -np ${ranks} $<TARGET_FILE:${name}>)
    set_tests_properties(${name}.np${ranks} PROPERTIES PROCESSORS ${ranks} TIMEOUT ${arg_TIMEOUT} LABELS ranks
      ENVIRONMENT "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;OMP_NUM_THREADS=1")
  endforeach()
  if(arg_NODES AND LOCKSTEP_TEST_PYTHON)
    add_test(NAME ${name}.nodes2x2
      COMMAND ${LOCKSTEP_TEST_PYTHON} "${PROJECT_SOURCE_DIR}/tests/nodes/on_nodes.py" 2 2 $<TARGET_FILE:${name}>)
    set_tests_properties(${name}.nodes2x2 PROPERTIES PROCESSORS 4 TIMEOUT ${arg_TIMEOUT} LABELS ranks SKIP_RETURN_CODE 77
      ENVIRONMENT "OMP_NUM_THREADS=1")
  endif()
endfunction()
