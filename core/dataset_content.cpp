#include "lockstep/core/dataset_content.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <vector>

#include "lockstep/core/file_descriptor.h"
#include "lockstep/core/sha256.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

struct File {
  std::string path;  // below the folder; "" for a data set that is one file
  std::int64_t bytes = 0;
};

std::vector<File> files_of(const fs::path& root) {
  if (!fs::is_directory(root)) return {{"", static_cast<std::int64_t>(fs::file_size(root))}};
  std::vector<File> files;
  for (const auto& entry : fs::recursive_directory_iterator(root))
    if (entry.is_regular_file())
      files.push_back({entry.path().lexically_relative(root).string(), static_cast<std::int64_t>(entry.file_size())});
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.path < b.path; });
  return files;
}

fs::path place_of(const fs::path& root, const File& file) { return file.path.empty() ? root : root / file.path; }

// Adds up what is seen of each file.
class Sum {
 public:
  void add(const File& file, std::int64_t bytes, const std::string& sha256) {
    ++content_.files;
    content_.bytes += bytes;
    if (sha256.empty()) return;
    if (file.path.empty()) {
      content_.sha256 = sha256;
      return;
    }
    const std::string line = file.path + " " + std::to_string(bytes) + " " + sha256 + "\n";
    lines_.update(line.data(), line.size());
    is_folder_ = true;
  }
  DatasetContent result() {
    if (is_folder_) content_.sha256 = lines_.hex();
    return content_;
  }

 private:
  DatasetContent content_;
  Sha256 lines_;
  bool is_folder_ = false;
};

// Calls `action` when it was called some seconds ago.
class Ticker {
 public:
  explicit Ticker(const std::function<void()>& action) : action_(action) {}
  void tick() {
    constexpr std::chrono::seconds kInterval(3);
    const auto now = std::chrono::steady_clock::now();
    if (!action_ || now - last_ < kInterval) return;
    last_ = now;
    action_();
  }

 private:
  const std::function<void()>& action_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// Returns the digest of what was copied.
std::string copy_one(const fs::path& from, const fs::path& to, std::int64_t& bytes, Ticker& ticker) {
  const FileDescriptor in(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in) fail_errno("cannot read " + from.string());
  FileDescriptor out(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!out) fail_errno("cannot create " + to.string());
  Sha256 digest;
  std::vector<char> piece(1 << 20);
  bytes = 0;
  for (ssize_t got; (got = ::read(in.get(), piece.data(), piece.size())) != 0;) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno("cannot read " + from.string());
    digest.update(piece.data(), static_cast<std::size_t>(got));
    for (ssize_t done = 0; done < got;) {
      const ssize_t written = ::write(out.get(), piece.data() + done, static_cast<std::size_t>(got - done));
      if (written < 0 && errno != EINTR) fail_errno("cannot write " + to.string());
      if (written > 0) done += written;
    }
    bytes += got;
    ticker.tick();
  }
  if (::fchmod(out.get(), 0400) != 0) fail_errno("cannot set the mode of " + to.string());
  if (!out.close()) fail_errno("cannot write " + to.string());
  return digest.hex();
}

}  // namespace

Result<DatasetContent> look_at_dataset(const fs::path& path, bool digest) try {
  std::error_code error;
  if (!fs::exists(path, error)) return Error{ErrorKind::usage, "no such file or folder", path.string(), {}};
  if (!fs::is_directory(path) && !fs::is_regular_file(path))
    return Error{ErrorKind::usage, "is neither a file nor a folder", path.string(), {}};
  Sum sum;
  for (const File& file : files_of(path))
    sum.add(file, file.bytes, digest ? sha256_file(place_of(path, file)) : std::string());
  const DatasetContent content = sum.result();
  if (content.files == 0) return Error{ErrorKind::usage, "holds no files", path.string(), {}};
  return content;
} catch (const Failure& failure) {
  return failure.error();
} catch (const fs::filesystem_error& error) {
  return Error{ErrorKind::usage, "cannot be read: " + error.code().message(), error.path1().string(), {}};
}

DatasetContent copy_dataset(const fs::path& source, const fs::path& destination,
                            const std::function<void()>& on_progress) try {
  Sum sum;
  Ticker ticker(on_progress);
  if (fs::is_directory(source)) fs::create_directory(destination);
  for (const File& file : files_of(source)) {
    const fs::path target = place_of(destination, file);
    fs::create_directories(target.parent_path());
    std::int64_t bytes = 0;
    const std::string sha256 = copy_one(place_of(source, file), target, bytes, ticker);
    sum.add(file, bytes, sha256);
  }
  return sum.result();
} catch (const fs::filesystem_error& error) {
  fail(ErrorKind::environment, error.code().message(), {}, error.path1().string());
}

Result<DatasetRecord> register_files(const Workspace& workspace, DatasetRecord record, bool digest) {
  record.path = fs::absolute(record.path).lexically_normal();
  if (!record.path.has_filename()) record.path = record.path.parent_path();  // "folder/"
  const auto content = look_at_dataset(record.path, digest);
  if (!content) return content.error();
  record.kind = fs::is_directory(record.path) ? "folder" : "file";
  record.sha256 = content->sha256;
  record.bytes = content->bytes;
  record.files = content->files;
  if (record.source.empty()) record.source = record.path.string();
  if (record.description.empty())
    record.description = record.kind == "file" ? "a file" : "a folder of " + std::to_string(record.files) + " files";
  return register_dataset(workspace, std::move(record));
}

}  // namespace lockstep
