#include "lockstep/distributed/checkpoint/seal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/core/file_descriptor.h"
#include "lockstep/core/sha256.h"

namespace lockstep {
namespace {

constexpr const char* kMark = "\nsha256 ";
constexpr std::size_t kSealBytes = 8 + 64 + 1;

std::string digest_of_first(std::ifstream& file, std::uintmax_t bytes, const std::filesystem::path& path) {
  Sha256 digest;
  std::vector<char> piece(1 << 20);
  for (std::uintmax_t left = bytes; left > 0;) {
    const auto count = static_cast<std::size_t>(std::min<std::uintmax_t>(left, piece.size()));
    if (!file.read(piece.data(), static_cast<std::streamsize>(count))) fail_errno("cannot be read", {}, path.string());
    digest.update(piece.data(), count);
    left -= count;
  }
  return digest.hex();
}

}  // namespace

// One descriptor writes, syncs and closes: network file systems report what could not be written to the one that wrote.
void seal_file(const std::filesystem::path& path) {
  const std::string seal = kMark + sha256_file(path) + "\n";
  FileDescriptor file(open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!file) fail_errno("cannot be opened", {}, path.string());
  const auto require = [&](bool done) {
    if (!done) fail_errno("could not be written completely", {}, path.string());
  };
  for (std::string_view left = seal; !left.empty();) {
    const ssize_t written = write(file.get(), left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    require(written >= 0);
    left.remove_prefix(static_cast<std::size_t>(written));
  }
  require(fsync(file.get()) == 0);
  require(file.close());
}

Seal check_seal(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) fail(ErrorKind::usage, "no such file", {}, path.string());
  const std::uintmax_t bytes = std::filesystem::file_size(path);
  if (bytes < kSealBytes) return Seal::missing;
  std::ifstream file(path, std::ios::binary);
  const std::string digest = digest_of_first(file, bytes - kSealBytes, path);
  std::string seal(kSealBytes, '\0');
  if (!file.read(seal.data(), kSealBytes)) fail_errno("cannot be read", {}, path.string());
  if (!seal.starts_with(kMark)) return Seal::missing;
  return seal == kMark + digest + "\n" ? Seal::intact : Seal::broken;
}

}  // namespace lockstep
