// The IDX importer. The layout: magic (two zero bytes, 8 for unsigned bytes, the number of dimensions), the dimensions
// as big-endian 32-bit numbers, then the elements (https://yann.lecun.com/exdb/mnist/).
#include <algorithm>
#include <array>
#include <cstdio>

#include "lockstep/data/dataset_format.h"
#include "lockstep/data/dataset_writer.h"
#include "lockstep/data/import.h"
#include "lockstep/data/import_files.h"
#include "lockstep/data/input_file.h"
#include "lockstep/data/progress.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kImagesMagic = 0x00000803, kLabelsMagic = 0x00000801;
constexpr std::int64_t kMostPixelsAcross = 16384;  // with 2^32 images at most, sizes stay below 2^63

std::uint32_t read_number(InputFile& file, const std::string& what) {
  std::array<unsigned char, 4> bytes{};
  file.read(bytes.data(), bytes.size(), what);
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 | bytes[3];
}

void check_magic(InputFile& file, std::uint32_t expected, const std::string& meaning) {
  const std::uint32_t found = read_number(file, "the magic number");
  if (found == expected) return;
  char text[160];
  std::snprintf(text, sizeof text, "has the magic number 0x%08x at byte 0, expected 0x%08x (%s)", found, expected,
                meaning.c_str());
  file.refuse(text);
}

// A plain file tells its length at once; of a gzip file it shows at the end.
void check_length(const InputFile& file, std::int64_t expected) {
  if (file.compressed() || file.bytes_on_disk() == expected) return;
  const bool short_of = file.bytes_on_disk() < expected;
  file.refuse("is " + std::to_string(file.bytes_on_disk()) + " bytes long, but its header tells of " +
              std::to_string(expected) + (short_of ? ": it is truncated" : ": bytes follow the last record"));
}

// The two files of a split, their headers read and compared.
struct Split {
  InputFile images, labels;
  std::int64_t count = 0, height = 0, width = 0;
};

Split open_split(const IdxFiles& files) {
  Split split{InputFile(files.images), InputFile(files.labels)};
  check_magic(split.images, kImagesMagic, "unsigned bytes in 3 dimensions");
  split.count = read_number(split.images, "the number of images");
  split.height = read_number(split.images, "the number of rows");
  split.width = read_number(split.images, "the number of columns");
  const auto sound = [](std::int64_t across) { return across >= 1 && across <= kMostPixelsAcross; };
  if (split.count < 1 || !sound(split.height) || !sound(split.width)) {
    split.images.refuse("has " + std::to_string(split.count) + " images of " + std::to_string(split.height) + "x" +
                        std::to_string(split.width) + " pixels, expected at least one of at most 16384x16384");
  }
  check_magic(split.labels, kLabelsMagic, "unsigned bytes in 1 dimension");
  const std::int64_t labels = read_number(split.labels, "the number of labels");
  if (labels != split.count) {
    split.labels.refuse("holds " + std::to_string(labels) + " labels, but " + files.images.string() + " holds " +
                        std::to_string(split.count) + " images");
  }
  check_length(split.images, 16 + split.count * split.height * split.width);
  check_length(split.labels, 8 + split.count);
  return split;
}

void check_labels(const InputFile& file, const std::vector<std::uint8_t>& labels, std::int64_t first,
                  std::int64_t count, std::int64_t classes) {
  for (std::int64_t i = 0; i < count; ++i) {
    const int label = labels[static_cast<std::size_t>(i)];
    if (label < classes) continue;
    file.refuse("record " + std::to_string(first + i) + " (byte " + std::to_string(8 + first + i) + ") has label " +
                std::to_string(label) + ", expected 0 to " + std::to_string(classes - 1));
  }
}

void copy_split(Split& split, const std::string& name, std::int64_t classes, DatasetWriter& writer, Progress& progress,
                std::int64_t done_before) {
  const std::int64_t pixels = split.height * split.width;
  const std::int64_t piece = std::max<std::int64_t>(1, (1 << 20) / pixels);
  std::vector<std::uint8_t> images(static_cast<std::size_t>(piece * pixels)), labels(static_cast<std::size_t>(piece));
  for (std::int64_t done = 0; done < split.count;) {
    const std::int64_t count = std::min(piece, split.count - done);
    split.images.read(images.data(), static_cast<std::size_t>(count * pixels),
                      "images " + std::to_string(done) + " to " + std::to_string(done + count));
    split.labels.read(labels.data(), static_cast<std::size_t>(count),
                      "labels " + std::to_string(done) + " to " + std::to_string(done + count));
    check_labels(split.labels, labels, done, count, classes);
    writer.write(name, done, count, images.data(), labels.data());
    done += count;
    progress.update(done_before + done);
  }
  split.images.expect_end("the last image");
  split.labels.expect_end("the last label");
}

}  // namespace

void import_idx(const fs::path& source, const ImportOptions& options) {
  const IdxFolder folder = find_idx_files(source).value();
  Split train = open_split(folder.train), test = open_split(folder.test);
  if (train.height != test.height || train.width != test.width) {
    test.images.refuse("has images of " + std::to_string(test.height) + "x" + std::to_string(test.width) +
                       " pixels, those of " + folder.train.images.string() + " are " + std::to_string(train.height) +
                       "x" + std::to_string(train.width));
  }
  std::vector<std::string> classes = options.class_names;
  for (int digit = 0; options.class_names.empty() && digit < 10; ++digit) classes.push_back(std::to_string(digit));
  DatasetWriter writer(options.output,
                       {options.name.empty() ? "idx" : options.name,
                        classes,
                        options.source.empty() ? fs::absolute(source).string() : options.source,
                        {1, train.height, train.width},
                        train.count,
                        test.count},
                       options.replace);
  Progress progress("importing " + source.filename().string(), train.count + test.count, "images");
  const auto class_count = static_cast<std::int64_t>(classes.size());
  copy_split(train, dataset_format::kTrain, class_count, writer, progress, 0);
  copy_split(test, dataset_format::kTest, class_count, writer, progress, train.count);
  writer.finish();
}

}  // namespace lockstep
