#include "lockstep/data/file_digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/core/sha256.h"

namespace lockstep {
namespace {

constexpr std::int64_t kPiece = 1 << 20;

// Hands the bytes from `offset` on to `use`, until `bytes` are read or, when negative, the file ends.
void read_pieces(const std::filesystem::path& path, std::int64_t offset, std::int64_t bytes,
                 const std::function<void(const void*, std::size_t)>& use) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail_errno("cannot be opened", {}, path.string());
  const std::unique_ptr<const int, void (*)(const int*)> closer(&descriptor, [](const int* open) { ::close(*open); });
  std::vector<char> piece(static_cast<std::size_t>(kPiece));
  for (std::int64_t left = bytes; left != 0;) {
    const std::int64_t wanted = left < 0 ? kPiece : std::min(left, kPiece);
    const ssize_t got = ::pread(descriptor, piece.data(), static_cast<std::size_t>(wanted), offset);
    if (got < 0) fail_errno("cannot be read", {}, path.string());
    if (got == 0 && left < 0) return;
    if (got == 0) fail(ErrorKind::corrupt_data, "ends at byte " + std::to_string(offset), {}, path.string());
    use(piece.data(), static_cast<std::size_t>(got));
    offset += got;
    if (left > 0) left -= got;
  }
}

}  // namespace

std::string sha256_of_range(const std::filesystem::path& path, std::int64_t offset, std::int64_t bytes) {
  Sha256 digest;
  read_pieces(path, offset, bytes, [&](const void* data, std::size_t size) { digest.update(data, size); });
  return digest.hex();
}

std::string md5_file(const std::filesystem::path& path) {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (!context || EVP_DigestInit_ex(context.get(), EVP_md5(), nullptr) != 1) {
    fail(ErrorKind::environment, "this system's libcrypto offers no MD5", "give --sha256 instead");
  }
  read_pieces(path, 0, -1, [&](const void* data, std::size_t size) { EVP_DigestUpdate(context.get(), data, size); });
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned count = 0;
  EVP_DigestFinal_ex(context.get(), bytes, &count);
  std::string text;
  for (unsigned i = 0; i < count; ++i) {
    text += "0123456789abcdef"[bytes[i] >> 4];
    text += "0123456789abcdef"[bytes[i] & 15];
  }
  return text;
}

}  // namespace lockstep
