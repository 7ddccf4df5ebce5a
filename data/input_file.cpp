#include "lockstep/data/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "lockstep/core/error.h"

namespace lockstep {

struct InputFile::State {
  std::filesystem::path path;
  gzFile file = nullptr;  // zlib hands plain bytes through
  bool compressed = false;
  std::int64_t bytes_on_disk = 0;
  std::int64_t offset = 0;
  ~State() {
    if (file != nullptr) gzclose_r(file);
  }
};

namespace {

int open_regular(const std::filesystem::path& path, std::int64_t* size) {
  struct stat status {};
  // Looked at before it is opened: opening a pipe would block for ever.
  if (stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) fail(ErrorKind::usage, "no such file", {}, path.string());
    fail_errno("cannot be opened", {}, path.string());
  }
  if (!S_ISREG(status.st_mode)) fail(ErrorKind::usage, "is not a regular file", {}, path.string());
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail_errno("cannot be opened", {}, path.string());
  *size = status.st_size;
  return descriptor;
}

bool is_named_gzip(const std::filesystem::path& path) {
  return path.extension() == ".gz" || path.extension() == ".tgz";
}

}  // namespace

InputFile::InputFile(const std::filesystem::path& path) : state_(std::make_unique<State>()) {
  state_->path = path;
  const int descriptor = open_regular(path, &state_->bytes_on_disk);
  std::array<unsigned char, 2> magic{};
  const bool begun = ::pread(descriptor, magic.data(), magic.size(), 0) == static_cast<ssize_t>(magic.size());
  state_->compressed = begun && magic[0] == 0x1f && magic[1] == 0x8b;
  state_->file = gzdopen(descriptor, "rb");
  if (state_->file == nullptr) {
    ::close(descriptor);
    fail(ErrorKind::environment, "there is no memory to read it", {}, path.string());
  }
  gzbuffer(state_->file, 1 << 17);
  if (state_->bytes_on_disk == 0) refuse("is empty");
  if (is_named_gzip(path) && !state_->compressed)
    refuse("is named as gzip, but its first bytes are not those of gzip (1f 8b)");
}

InputFile::InputFile(InputFile&&) noexcept = default;
InputFile& InputFile::operator=(InputFile&&) noexcept = default;
InputFile::~InputFile() = default;

const std::filesystem::path& InputFile::path() const { return state_->path; }
bool InputFile::compressed() const { return state_->compressed; }
std::int64_t InputFile::bytes_on_disk() const { return state_->bytes_on_disk; }
std::int64_t InputFile::offset() const { return state_->offset; }

void InputFile::refuse(const std::string& what) const { fail(ErrorKind::usage, what, {}, state_->path.string()); }

// Fewer bytes only at the end of a sound file.
std::size_t InputFile::read_some(void* to, std::size_t bytes) {
  std::size_t done = 0;
  while (done < bytes) {
    const auto piece = static_cast<unsigned>(std::min<std::size_t>(bytes - done, 1 << 30));
    const int got = gzread(state_->file, static_cast<char*>(to) + done, piece);
    int code = Z_OK;
    const char* text = gzerror(state_->file, &code);
    if (code == Z_ERRNO) fail_errno("cannot be read", {}, state_->path.string());
    if (code != Z_OK && code != Z_STREAM_END) {
      const std::string reason = code == Z_BUF_ERROR ? "the file ends too early" : text;
      refuse("the gzip data are damaged after " + std::to_string(state_->offset + std::max(got, 0)) +
             " unpacked bytes: " + reason);
    }
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
    state_->offset += got;
  }
  return done;
}

void InputFile::read(void* to, std::size_t bytes, const std::string& what) {
  const std::int64_t start = state_->offset;
  if (read_some(to, bytes) == bytes) return;
  refuse("ends at byte " + std::to_string(state_->offset) + (state_->compressed ? " (unpacked)" : "") + ", expected " +
         what + " from byte " + std::to_string(start) + " to " +
         std::to_string(start + static_cast<std::int64_t>(bytes)));
}

void InputFile::skip(std::int64_t bytes, const std::string& what) {
  std::array<char, 16384> piece;
  while (bytes > 0) {
    const auto next = static_cast<std::size_t>(std::min<std::int64_t>(bytes, piece.size()));
    read(piece.data(), next, what);
    bytes -= static_cast<std::int64_t>(next);
  }
}

void InputFile::expect_end(const std::string& what) {
  const std::int64_t end = state_->offset;
  char byte = 0;
  if (read_some(&byte, 1) != 0) refuse("has bytes after the end of " + what + ", from byte " + std::to_string(end));
}

}  // namespace lockstep
