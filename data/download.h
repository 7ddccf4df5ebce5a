// Gets one file over HTTP(S) with the curl program: goes on where it was interrupted, accepts nothing but the right
// digest.
#pragma once

#include <filesystem>
#include <string>

#include "lockstep/core/error.h"

namespace lockstep {

// What a file's digest must be; at most one of the two is set, none accepts any file.
struct ExpectedDigest {
  std::string md5;     // 32 lower-case hexadecimal digits
  std::string sha256;  // 64
  bool given() const { return !md5.empty() || !sha256.empty(); }
};

// "" or what differs: "MD5 is …, expected …".
std::string check_digest(const std::filesystem::path& file, const ExpectedDigest& expected);

// Downloads `address` to `target`, by way of target.part, which stays when the connection breaks and is continued by
// the next call. A broken connection is tried again here as well, up to five times without progress. A `target` that is
// there with the right digest is taken as it is. Throws Failure: usage for an address that is not http:// or https://;
// environment when curl is missing, the server does not answer or has no such file; corrupt_data when the digest
// differs (the part file is then removed).
void download(const std::string& address, const std::filesystem::path& target, const ExpectedDigest& expected);

}  // namespace lockstep
