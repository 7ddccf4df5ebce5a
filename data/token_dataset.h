// Text as numbers in one HDF5 file; needs HDF5, not LibTorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "lockstep/core/error.h"

namespace lockstep {

// One split ("train" or "test") of a file. Layout: groups /train and /test, each with tokens, a contiguous list of
// uint8 or int32; attributes of the file: format "lockstep-tokens", format_version 1, vocabulary_size, sequence_length,
// and optionally name, source, vocabulary ("byte"). The list is cut into windows: window w has tokens [w*T, w*T + T], T
// being sequence_length; its last token is only a target, and the next window's first. The tokens are mapped read-only.
class TokenDataset {
 public:
  // Whether the file says that it holds tokens. False for what cannot be read: opening says why.
  static bool is_token_file(const std::filesystem::path& path);

  // Whether open() looks at every token. Once per node is enough: the others trust the one that did.
  enum class Tokens { checked, trusted };

  // Checks format, types, sizes, that there is a whole window, and, unless told not to, that every token is in
  // [0, vocabulary_size). Usage error otherwise, with file and what was found.
  static Result<TokenDataset> open(const std::filesystem::path& path, const std::string& split,
                                   Tokens tokens = Tokens::checked);

  TokenDataset(TokenDataset&&) noexcept;
  TokenDataset& operator=(TokenDataset&&) noexcept;
  ~TokenDataset();

  std::int64_t count() const;  // windows
  std::int64_t sequence_length() const;
  std::int64_t vocabulary_size() const;
  const std::string& name() const;

  // Writes the sequence_length() + 1 tokens of a window, [0, count()), to `to`.
  void window(std::int64_t number, std::int64_t* to) const;

 private:
  struct State;
  explicit TokenDataset(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
