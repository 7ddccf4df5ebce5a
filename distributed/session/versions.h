// Versions of what took part in a training.
#pragma once

#include <map>
#include <string>

namespace lockstep {

class Session;

// "lockstep", "torch", "mpi", "malloc" (tcmalloc, jemalloc, mimalloc or libc).
std::map<std::string, std::string> versions(const Session& session);

}  // namespace lockstep
