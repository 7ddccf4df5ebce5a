// logs/75_job_post.txt: what the run left, with sizes and digests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "lockstep/core/run_store.h"

namespace lockstep {

struct OutputFile {
  std::string path;  // relative to the run directory: "outputs/model.h5"
  std::uintmax_t bytes = 0;
  std::string sha256;  // "-" for what is not a readable regular file (a link, a pipe)
};

// All files below outputs/, sorted by path; links are listed, not followed. on_file is called between files
// (heartbeat).
std::vector<OutputFile> list_outputs(const RunDirectory& run, const std::function<void()>& on_file = {});

// One line per file, "SHA256  BYTES  PATH", after two lines of comment.
std::string manifest_text(const std::vector<OutputFile>& files);

}  // namespace lockstep
