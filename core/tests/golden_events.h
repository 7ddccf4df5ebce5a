// The event file in TensorBoard's own tests, and small helpers to compare what is read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lockstep/core/event_file.h"

namespace lockstep {

using namespace std::string_literals;

// The first record of every file, file_version; then accuracy = 0.99 at step 77 in the tensor form.
inline const std::string kGoldenVersion =
    "\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22\x09\x00\x00\x80\x38\x99\xd6\xd7\x41\x1a\x0d"
    "brain.Event:2\x12\x4b\x36\xab"s;
inline const std::string kGoldenScalar =
    "\x32\0\0\0\0\0\0\0\x24\x19\x56\xec\x09\xc4\x05\xb7\x3d\x99\xd6\xd7\x41\x10\x4d\x2a\x25\x0a\x23\x0a\x08"
    "accuracy\x42\x0a\x08\x01\x12\x00\x22\x04\xa4\x70\x7d\x3f\x4a\x0b\x0a\x09\x0a\x07"
    "scalars\xa5\x5b\x64\x33"s;

inline std::vector<std::int64_t> steps_of(const ScalarLog& log, const std::string& tag) {
  std::vector<std::int64_t> steps;
  for (const auto& event : log.events) {
    if (event.tag == tag) steps.push_back(event.step);
  }
  return steps;
}

}  // namespace lockstep
