// A file of text -> one HDF5 file of tokens, as a stream and in constant memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace lockstep {

struct TextImport {
  std::string name = {};  // empty: the source's file name
  std::filesystem::path output = {};
  bool replace = false;                // an existing output
  std::string vocabulary = "byte";     // each byte is a token
  std::int64_t sequence_length = 128;  // tokens of a sample
};

struct TextCounts {
  std::int64_t train = 0, test = 0;  // tokens
};

// The first nine tenths become /train/tokens, the rest /test/tokens. Throws Failure: usage for another vocabulary, a
// sequence length below 1, a source of which a split would hold no whole sequence; environment when reading or writing
// fails. The output appears whole or not at all.
TextCounts import_text(const std::filesystem::path& source, const TextImport& options);

}  // namespace lockstep
