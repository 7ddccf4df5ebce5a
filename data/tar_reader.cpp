#include "lockstep/data/tar_reader.h"

#include <algorithm>
#include <array>

namespace lockstep {
namespace {

constexpr std::int64_t kBlock = 512;
using Block = std::array<char, kBlock>;

// Fields of a header: offset and length in bytes.
struct Field {
  std::size_t offset, length;
};
constexpr Field kName{0, 100}, kSize{124, 12}, kChecksum{148, 8}, kType{156, 1}, kMagic{257, 5}, kPrefix{345, 155};

std::string text(const Block& block, Field field) {
  const char* begin = block.data() + field.offset;
  return {begin, std::find(begin, begin + field.length, '\0')};
}

// Octal digits between blanks and NULs; -1 for anything else.
std::int64_t octal(const Block& block, Field field) {
  std::int64_t value = 0;
  bool begun = false, ended = false;
  for (std::size_t i = field.offset; i < field.offset + field.length; ++i) {
    const char c = block[i];
    if (c == ' ' || c == '\0') {
      ended = begun;
    } else if (c >= '0' && c <= '7' && !ended) {
      value = value * 8 + (c - '0');
      begun = true;
    } else {
      return -1;
    }
  }
  return begun ? value : -1;
}

// The sum of all bytes with the checksum's own taken as blanks.
std::int64_t checksum(const Block& block) {
  std::int64_t sum = 8 * ' ';
  for (std::size_t i = 0; i < block.size(); ++i) {
    const bool own = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.length;
    if (!own) sum += static_cast<unsigned char>(block[i]);
  }
  return sum;
}

bool is_empty(const Block& block) {
  return std::all_of(block.begin(), block.end(), [](char c) { return c == '\0'; });
}

std::string full_name(const Block& block) {
  const std::string prefix = text(block, kMagic) == "ustar" ? text(block, kPrefix) : "";
  return prefix.empty() ? text(block, kName) : prefix + "/" + text(block, kName);
}

}  // namespace

std::optional<TarReader::Entry> TarReader::next() {
  while (true) {
    file_.skip(next_header_ - file_.offset(), "the contents of a file in the archive");
    Block block;
    file_.read(block.data(), block.size(), "a tar header");
    if (is_empty(block))
      return std::nullopt;  // the second empty block, and what fills the last record, tell nothing more
    const std::int64_t bytes = octal(block, kSize);
    if (octal(block, kChecksum) != checksum(block) || bytes < 0) {
      file_.refuse("has no tar header at byte " + std::to_string(next_header_) + " (its checksum is wrong)");
    }
    next_header_ = file_.offset() + (bytes + kBlock - 1) / kBlock * kBlock;
    const char type = block[kType.offset];
    if (type == '0' || type == '\0') return Entry{full_name(block), bytes};
  }
}

}  // namespace lockstep
