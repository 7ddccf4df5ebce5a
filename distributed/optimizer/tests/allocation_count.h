// How often a piece of code asks for memory, for tests that link allocation_count.cpp.
#pragma once

#include <functional>

namespace lockstep::testing {

// Calls of operator new in the whole program meanwhile, LibTorch's included.
int allocations_in(const std::function<void()>& action);

}  // namespace lockstep::testing
