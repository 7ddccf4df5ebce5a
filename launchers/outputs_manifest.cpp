#include "lockstep/launchers/outputs_manifest.h"

#include <algorithm>

#include "lockstep/core/run_contract.h"
#include "lockstep/core/sha256.h"
#include "lockstep/launchers/table.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

OutputFile describe_file(const fs::directory_entry& entry, const fs::path& base) {
  OutputFile file{entry.path().lexically_relative(base).string(), 0, "-"};
  std::error_code error;
  if (entry.is_symlink(error) || !entry.is_regular_file(error)) return file;
  try {
    file.bytes = entry.file_size();
    file.sha256 = sha256_file(entry.path());
  } catch (const std::exception&) {
    file.sha256 = "-";  // not readable: the manifest says so, the run's end does not depend on it
  }
  return file;
}

}  // namespace

std::vector<OutputFile> list_outputs(const RunDirectory& run, const std::function<void()>& on_file) {
  std::vector<OutputFile> files;
  std::error_code error;
  const auto options = fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator entry(run.path() / contract::kOutputs, options, error), end;
       !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    if (entry->is_directory(ignored) && !entry->is_symlink(ignored)) continue;
    files.push_back(describe_file(*entry, run.path()));
    if (on_file) on_file();
  }
  std::sort(files.begin(), files.end(), [](const OutputFile& a, const OutputFile& b) { return a.path < b.path; });
  return files;
}

std::string manifest_text(const std::vector<OutputFile>& files) {
  std::uintmax_t total = 0;
  for (const OutputFile& file : files) total += file.bytes;
  std::string text = "# outputs: " + std::to_string(files.size()) + " files, " + std::to_string(total) + " bytes\n" +
                     "# sha256  bytes  path\n";
  for (const OutputFile& file : files)
    text += file.sha256 + "  " + std::to_string(file.bytes) + "  " + printable(file.path) + "\n";
  return text;
}

}  // namespace lockstep
