#include "lockstep/core/sha256.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <utility>

#include "lockstep/core/error.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

// FIPS 180-4 examples and NIST's byte-oriented test vectors.
TEST(Sha256, KnownDigests) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256("\xd3"), "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1");
  EXPECT_EQ(sha256("\x74\xba\x25\x21"), "b16aa56be3880d18cd41e68384cf1ec8c17680c45a02b1575dc1518923ae8b0e");
  EXPECT_EQ(sha256(std::string(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesGiveTheSameDigest) {
  Sha256 hash;
  hash.update("ab", 2);
  Sha256 moved = std::move(hash);
  moved.update("", 0);
  moved.update("c", 1);
  EXPECT_EQ(moved.hex(), sha256("abc"));
  EXPECT_THROW((void)moved.hex(), Failure);
  EXPECT_THROW(moved.update("d", 1), Failure);
}

TEST(Sha256, FilesAgreeWithSha256sum) {
  TemporaryDirectory folder;
  std::string bytes(3'000'017, '\0');  // more than two pieces
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * i >> 3);
  write_contents(folder / "data", bytes);
  std::FILE* program = ::popen(("sha256sum " + (folder / "data").string()).c_str(), "r");
  ASSERT_NE(program, nullptr);
  char digest[65] = {};
  ASSERT_EQ(std::fread(digest, 1, 64, program), 64u);
  ::pclose(program);
  EXPECT_EQ(sha256_file(folder / "data"), digest);
}

TEST(Sha256, UnreadableFilesAreNamed) {
  TemporaryDirectory folder;
  try {
    (void)sha256_file(folder / "absent");
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::environment);
    EXPECT_EQ(failure.error().what, "cannot read " + (folder / "absent").string() + ": No such file or directory");
  }
}

}  // namespace
}  // namespace lockstep
