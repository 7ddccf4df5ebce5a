// A Python that lies on this machine: where it is and what it holds.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {

struct PythonFacts {
  std::string program;                          // sys.executable: the real one behind a shim; absolute
  std::string version;                          // "3.11.7"
  std::string prefix;                           // sys.prefix: the folder of its environment
  std::map<std::string, std::string> packages;  // name -> version; only when asked for
};

// Runs it (tens of milliseconds). variables: the environment to run it in; empty: this process' own.
// Environment error when it cannot be started or does not answer like a Python.
Result<PythonFacts> inspect_python(const std::string& program, bool with_packages,
                                   const std::map<std::string, std::string>& variables = {});

// The Python meant by `where`: a program, a folder with bin/python in it (virtual or conda environment), or the name of
// a conda environment. Absolute; a virtual environment's own link is kept, since it is what makes the environment.
// Usage error when there is none.
Result<std::string> find_python(const std::string& where);

// The conda-like program on PATH: micromamba, mamba or conda; "" when there is none.
std::string find_conda();

}  // namespace lockstep
