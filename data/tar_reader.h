// Reads the regular files of a tar archive in their order. Nothing is unpacked to disk, so no name in it can do harm.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lockstep/data/input_file.h"

namespace lockstep {

// POSIX ustar (IEEE Std 1003.1, pax) and GNU tar. Folders, links and extended headers are passed over: long names are
// not needed here, and sizes above 8 GiB, which only they can tell, are refused.
class TarReader {
 public:
  struct Entry {
    std::string name;  // as in the archive
    std::int64_t bytes = 0;
  };

  // file: positioned at the first header; outlives the reader.
  explicit TarReader(InputFile& file) : file_(file) {}

  // The next regular file; the bytes of the one before may have been read, in part or not at all. Nothing at the end.
  // Usage error when the archive is damaged or ends before its closing empty block.
  std::optional<Entry> next();

 private:
  InputFile& file_;
  std::int64_t next_header_ = 0;  // offset
};

}  // namespace lockstep
