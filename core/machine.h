// Who and where we are.
#pragma once

#include <string>

namespace lockstep {

std::string host_name();  // as gethostname tells it
std::string user_name();  // of the effective user; its number where it has no name

}  // namespace lockstep
