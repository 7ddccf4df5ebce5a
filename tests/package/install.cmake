# Installs the build folder and runs the installed programs, which must find all they load by themselves. Run by ctest:
#   cmake -DBUILD=<build folder> -DPREFIX=<folder, made anew> -DLIBDIR=<lib> -P install.cmake
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE "${PREFIX}")
execute_process(COMMAND ${CMAKE_COMMAND} --install "${BUILD}" --prefix "${PREFIX}" OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)

foreach(words IN ITEMS "lockstep;version" "lockstep-data;--help" "lockstep-train;--help")
  list(POP_FRONT words program)
  execute_process(COMMAND env -i PATH=/usr/bin:/bin "${PREFIX}/bin/${program}" ${words}
    RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE error)
  if(NOT code EQUAL 0 OR NOT output MATCHES "lockstep")
    message(FATAL_ERROR "${program} ${words} of ${PREFIX} ends with ${code}: ${output}${error}")
  endif()
  execute_process(COMMAND ldd "${PREFIX}/bin/${program}" OUTPUT_VARIABLE libraries COMMAND_ERROR_IS_FATAL ANY)
  if(libraries MATCHES "not found" OR libraries MATCHES "${BUILD}")
    message(FATAL_ERROR "${program} of ${PREFIX} loads\n${libraries}")
  endif()
endforeach()

# A header that is missing, or one too many, shows here and not at a user's.
file(GLOB_RECURSE headers RELATIVE "${PREFIX}/include/lockstep" "${PREFIX}/include/lockstep/*")
foreach(header IN ITEMS core/run.h data/loader.h models/registry.h launchers/submission.h distributed/session/session.h
    distributed/training/train_loop.h distributed/communicator/communicator.h)
  if(NOT header IN_LIST headers)
    message(FATAL_ERROR "${header} is not installed")
  endif()
endforeach()
list(FILTER headers INCLUDE REGEX "tests/|\\.cpp$")
if(headers)
  message(FATAL_ERROR "installed although nobody can use it: ${headers}")
endif()

# What is installed may move: nothing in the package names the build folder or the prefix.
file(GLOB package "${PREFIX}/${LIBDIR}/cmake/lockstep/*.cmake")
foreach(file IN LISTS package)
  file(READ "${file}" text)
  string(FIND "${text}" "${BUILD}" at)
  if(NOT at EQUAL -1)
    message(FATAL_ERROR "${file} names the build folder ${BUILD}")
  endif()
endforeach()
