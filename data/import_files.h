// Which files belong to a published data set, under all the names they go by.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {

struct IdxFiles {
  std::filesystem::path images, labels;
};
struct IdxFolder {
  IdxFiles train, test;
};

// The four IDX files in `folder`: NAME-idx3-ubyte or NAME.idx3-ubyte, plain or with .gz. Usage error that names what is
// missing.
Result<IdxFolder> find_idx_files(const std::filesystem::path& folder);

// The files with CIFAR-10's records, training batches first; batches.meta.txt beside them is optional.
extern const std::vector<std::string> kCifarBatches;
inline constexpr const char* kCifarMeta = "batches.meta.txt";

}  // namespace lockstep
