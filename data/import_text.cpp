#include "lockstep/data/import_text.h"

#include <algorithm>
#include <fstream>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/data/dataset_format.h"
#include "lockstep/data/hdf5_file.h"
#include "lockstep/data/new_file.h"
#include "lockstep/data/progress.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
namespace format = dataset_format;

constexpr std::int64_t kPiece = 1 << 20;  // bytes

TextCounts plan(const fs::path& source, const TextImport& options) {
  if (options.vocabulary != "byte")
    fail(ErrorKind::usage, "there is no vocabulary \"" + options.vocabulary + "\"; known: byte", {}, "--vocabulary");
  const std::int64_t length = options.sequence_length;
  if (length < 1)
    fail(ErrorKind::usage, "the sequence length is " + std::to_string(length) + ", expected at least 1", {},
         "--sequence-length");
  if (!fs::is_regular_file(source)) fail(ErrorKind::usage, "is no file", {}, source.string());
  const auto total = static_cast<std::int64_t>(fs::file_size(source));
  const TextCounts counts{.train = total - total / 10, .test = total / 10};
  if (counts.test <= length) {
    fail(ErrorKind::usage,
         "has " + std::to_string(total) + " bytes, of which a tenth is for tests; a sequence of " +
             std::to_string(length) + " and its next token need more",
         "give a longer text or a smaller --sequence-length", source.string());
  }
  return counts;
}

}  // namespace

TextCounts import_text(const fs::path& source, const TextImport& options) {
  const TextCounts counts = plan(source, options);
  std::ifstream in(source, std::ios::binary);
  if (!in) fail_errno("cannot be read", {}, source.string());
  NewFile place(options.output, options.replace);
  Hdf5File file = Hdf5File::create(place.temporary());
  file.write_string("/", "format", format::kTokenFormat);
  file.write_integer("/", "format_version", format::kTokenVersion);
  file.write_string("/", "name", options.name.empty() ? source.filename().string() : options.name);
  file.write_string("/", "source", source.string());
  file.write_string("/", "vocabulary", options.vocabulary);
  file.write_integer("/", "vocabulary_size", 256);
  file.write_integer("/", "sequence_length", options.sequence_length);
  Progress progress("importing " + source.filename().string(), counts.train + counts.test, "tokens");
  std::vector<char> piece(kPiece);
  std::int64_t done = 0;
  const auto copy = [&](const std::string& split, std::int64_t count) {
    file.create_group(format::group(split));
    file.create_array(format::tokens(split), Hdf5Type::uint8, {count});
    for (std::int64_t first = 0; first < count;) {
      const std::int64_t wanted = std::min(kPiece, count - first);
      if (!in.read(piece.data(), wanted))
        fail(ErrorKind::environment, "cannot be read to its end", {}, source.string());
      file.write_rows(format::tokens(split), first, wanted, piece.data());
      first += wanted;
      progress.update(done += wanted);
    }
  };
  copy(format::kTrain, counts.train);
  copy(format::kTest, counts.test);
  file.close();
  place.publish();
  return counts;
}

}  // namespace lockstep
