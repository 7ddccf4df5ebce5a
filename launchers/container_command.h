// A command wrapped so that it runs in a container, by podman, Apptainer (Singularity) or Charliecloud.
#pragma once

#include <string>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {

struct Container {
  std::string program;                  // absolute path of podman, apptainer, singularity or ch-run
  std::string image;                    // "docker.io/library/python:3.12", or the path of an image file
  std::string shm_size = {};            // "2g"; "": the host's /dev/shm is shared, as ranks of one node need it
  std::vector<std::string> binds = {};  // folders that are seen inside under their own names
  std::string directory = {};           // where the command starts; may hold $NAME, which the rank fills in
  bool gpu = false;
};

// Pure. Network, /dev/shm and process numbers are the host's, so that the ranks of an MPI find each other, and the
// whole environment goes in. Usage error: shm_size with a program that cannot give a container a size of its own.
Result<std::vector<std::string>> container_command(const Container& container, const std::vector<std::string>& argv);

// The container program on PATH: podman, apptainer, singularity or ch-run in this order; "" when there is none.
std::string find_container_program();

}  // namespace lockstep
