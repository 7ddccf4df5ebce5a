// SHA-256 (FIPS 180-4) by libcrypto.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace lockstep {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(const void* data, std::size_t bytes);
  // 64 lower-case hexadecimal digits. The object is done afterwards.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256(std::string_view bytes);
// Reads the file in pieces (constant memory). Throws Failure(environment) when it cannot be read.
std::string sha256_file(const std::filesystem::path& path);

}  // namespace lockstep
