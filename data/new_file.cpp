#include "lockstep/data/new_file.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>

#include "lockstep/core/error.h"
#include "lockstep/core/machine.h"
#include "lockstep/core/publish.h"

namespace lockstep {
namespace {

// Unique among the processes of all hosts that may share the folder, and among the threads of one.
std::string unique_suffix() {
  static std::atomic<int> counter{0};
  return ".tmp-" + host_name() + "-" + std::to_string(getpid()) + "-" + std::to_string(counter++);
}

[[noreturn]] void fail_exists(const std::filesystem::path& target) {
  fail(ErrorKind::usage, "exists already", "give --force to replace it, or another name", target.string());
}

}  // namespace

NewFile::NewFile(std::filesystem::path target, bool replace)
    : target_(std::filesystem::absolute(std::move(target))),
      temporary_(target_.string() + unique_suffix()),
      replace_(replace) {
  std::error_code error;
  if (std::filesystem::exists(target_, error) && !replace_) fail_exists(target_);
  if (std::filesystem::is_directory(target_, error))
    fail(ErrorKind::usage, "is a folder, not a file", {}, target_.string());
  std::filesystem::create_directories(target_.parent_path(), error);
  if (error)
    fail(ErrorKind::environment, "cannot make the folder: " + error.message(), {}, target_.parent_path().string());
}

NewFile::~NewFile() {
  std::error_code ignored;
  std::filesystem::remove(temporary_, ignored);
}

void NewFile::publish() {
  sync_path(temporary_);
  if (!replace_) {
    // A hard link, unlike a rename, fails where the name is taken; the destructor removes the temporary name.
    const bool linked = ::link(temporary_.c_str(), target_.c_str()) == 0;
    if (!linked && errno == EEXIST) fail_exists(target_);
    if (linked) return sync_path(target_.parent_path());
    if (std::filesystem::exists(target_)) fail_exists(target_);  // a file system without hard links
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0)
    fail_errno("cannot be renamed to " + target_.string(), {}, temporary_.string());
  sync_path(target_.parent_path());
}

}  // namespace lockstep
