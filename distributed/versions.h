// Versions of what took part in a training.
#pragma once

#include <map>
#include <string>

namespace lockstep {

class Session;

// "lockstep", "torch", "mpi".
std::map<std::string, std::string> versions(const Session& session);

}  // namespace lockstep
