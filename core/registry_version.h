// What the registries (data sets, environments, models) have in common: numbered versions of a name, and when each was
// made.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lockstep {

// A whole number of at least 1 and nothing else: "3", not "03" or "3 ".
std::optional<int> parse_version(std::string_view text);

// Now, as "2026-01-31T23:59:59Z".
std::string utc_now();

}  // namespace lockstep
