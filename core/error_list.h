// Several problems told at once.
#pragma once

#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {

// One Error for several (at least one): the first one as it is when there is only one, else a numbered list of the kind
// usage when one of them is, else of the first one's kind.
Error combine(const std::vector<Error>& errors);

}  // namespace lockstep
