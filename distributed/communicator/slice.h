// Who reduces which elements: a buffer is cut into one slice per owner, at cache lines.
#pragma once

#include <algorithm>
#include <cstdint>

namespace lockstep {

struct Slice {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

// Slice number `index` of `owners`: equal ones, whole cache lines counted from the start of the buffer; the last ones
// may be shorter or empty. Owners beyond the last slice (index >= owners) get an empty one.
inline Slice slice_of(std::int64_t count, std::int64_t element_bytes, int index, int owners) {
  const std::int64_t line = 64 / element_bytes;
  const std::int64_t lines = (count + line - 1) / line;
  const std::int64_t each = (lines + owners - 1) / owners * line;
  if (index >= owners) return {count, 0};
  const std::int64_t first = std::min(each * index, count);
  return {first, std::min(each, count - first)};
}

}  // namespace lockstep
