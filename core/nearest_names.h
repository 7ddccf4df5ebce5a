// "did you mean": the names closest to what was typed.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

// At most three of `names`, best first, whose Damerau-Levenshtein distance to `typed` is at most a third of its length
// (at least 2) and leaves something in common; names that begin with `typed` (three letters or more) come first.
// Case and the difference between - and _ do not count.
std::vector<std::string> nearest_names(std::string_view typed, std::span<const std::string> names);

// "; did you mean A, B?" or, when none is near, "; known are A, B, C" (the first twenty of many). Empty without names.
std::string suggestion(std::string_view typed, std::span<const std::string> names);

}  // namespace lockstep
