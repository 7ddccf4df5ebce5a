// The CIFAR-10 importer. The layout is the one its authors describe: https://www.cs.toronto.edu/~kriz/cifar.html,
// "Binary version".
#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <map>

#include "lockstep/data/dataset_format.h"
#include "lockstep/data/dataset_writer.h"
#include "lockstep/data/import.h"
#include "lockstep/data/import_files.h"
#include "lockstep/data/input_file.h"
#include "lockstep/data/progress.h"
#include "lockstep/data/tar_reader.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::int64_t, 3> kShape{3, 32, 32};
constexpr std::int64_t kPixels = 3 * 32 * 32;
constexpr std::int64_t kRecord = 1 + kPixels;
constexpr std::int64_t kPublishedRecords = 10000;  // of each file as published
const std::vector<std::string> kClasses{"airplane", "automobile", "bird",  "cat",  "deer",
                                        "dog",      "frog",       "horse", "ship", "truck"};
bool is_batch(const std::string& name) {
  return std::find(kCifarBatches.begin(), kCifarBatches.end(), name) != kCifarBatches.end();
}

// Calls `use` for each file of interest: its name, its length, and a stream that stands at its first byte.
using UseFile = std::function<void(const std::string& name, std::int64_t bytes, InputFile& stream)>;

void for_each_file(const fs::path& source, const UseFile& use) {
  const auto wanted = [](const std::string& name) { return is_batch(name) || name == kCifarMeta; };
  if (fs::is_directory(source)) {
    std::vector<std::string> names = kCifarBatches;
    names.emplace_back(kCifarMeta);
    for (const std::string& name : names) {
      if (!fs::exists(source / name)) continue;
      InputFile file(source / name);
      use(name, file.bytes_on_disk(), file);
    }
    return;
  }
  InputFile archive(source);
  TarReader tar(archive);
  while (const auto entry = tar.next()) {
    const std::string name = fs::path(entry->name).filename().string();
    if (wanted(name)) use(name, entry->bytes, archive);
  }
}

// Where a file's records go.
struct Place {
  std::string split;
  std::int64_t first = 0, count = 0;
};

struct Contents {
  std::map<std::string, Place> places;
  std::int64_t train_count = 0, test_count = 0;
  std::vector<std::string> class_names;
};

std::string where(const fs::path& source, const std::string& name) {
  return fs::is_directory(source) ? (source / name).string() : source.string() + ", " + name;
}

std::vector<std::string> read_class_names(std::int64_t bytes, InputFile& stream) {
  std::string text(static_cast<std::size_t>(std::min<std::int64_t>(bytes, 4096)), '\0');
  stream.read(text.data(), text.size(), "the class names");
  std::vector<std::string> names(1);
  for (const char c : text) {
    if (c == '\n')
      names.emplace_back();
    else if (c != '\r')
      names.back() += c;
  }
  std::erase(names, "");
  return names;
}

std::int64_t record_count(const fs::path& source, const std::string& name, std::int64_t bytes) {
  if (bytes == 0 || bytes % kRecord != 0) {
    fail(ErrorKind::usage,
         "is " + std::to_string(bytes) +
             " bytes long, expected whole records of 3073 bytes (a label and 3x32x32 pixels); " +
             std::to_string(bytes % kRecord) + " bytes are left over after record " + std::to_string(bytes / kRecord),
         "the file is truncated or of another format", where(source, name));
  }
  const std::int64_t count = bytes / kRecord;
  if (count != kPublishedRecords) {
    std::fprintf(stderr, "note: %s holds %s records; as published it has 10,000\n", where(source, name).c_str(),
                 with_thousands(count).c_str());
  }
  return count;
}

// The first pass: which files there are, and how long. An archive need not hold them in order.
Contents survey(const fs::path& source) {
  std::map<std::string, std::int64_t> counts;
  Contents contents;
  for_each_file(source, [&](const std::string& name, std::int64_t bytes, InputFile& stream) {
    if (name == kCifarMeta)
      contents.class_names = read_class_names(bytes, stream);
    else
      counts[name] = record_count(source, name, bytes);
  });
  for (const std::string& name : kCifarBatches) {
    if (!counts.contains(name)) {
      fail(ErrorKind::usage,
           name + " is missing; CIFAR-10's binary version has data_batch_1.bin to data_batch_5.bin and test_batch.bin",
           {}, source.string());
    }
    const bool test = name == "test_batch.bin";
    std::int64_t& total = test ? contents.test_count : contents.train_count;
    contents.places[name] = {test ? dataset_format::kTest : dataset_format::kTrain, total, counts[name]};
    total += counts[name];
  }
  if (contents.class_names.empty()) contents.class_names = kClasses;
  return contents;
}

// Records of one file, a piece at a time.
class RecordCopier {
 public:
  RecordCopier(DatasetWriter& writer, std::int64_t classes, Progress& progress)
      : writer_(writer), classes_(classes), progress_(progress) {}

  void copy(const std::string& file, const Place& place, InputFile& stream) {
    for (std::int64_t done = 0; done < place.count;) {
      const std::int64_t count = std::min(kPiece, place.count - done);
      stream.read(records_.data(), static_cast<std::size_t>(count * kRecord), "records of " + file);
      for (std::int64_t i = 0; i < count; ++i) {
        const std::uint8_t* record = records_.data() + i * kRecord;
        if (record[0] >= classes_) refuse_label(file, done + i, record[0]);
        labels_[static_cast<std::size_t>(i)] = record[0];
        std::copy_n(record + 1, kPixels, images_.data() + i * kPixels);
      }
      writer_.write(place.split, place.first + done, count, images_.data(), labels_.data());
      done += count;
      progress_.update(total_ += count);
    }
  }

 private:
  static constexpr std::int64_t kPiece = 500;

  [[noreturn]] void refuse_label(const std::string& file, std::int64_t record, int label) const {
    fail(ErrorKind::usage,
         "record " + std::to_string(record) + " (byte " + std::to_string(record * kRecord) + ") has label " +
             std::to_string(label) + ", expected 0 to " + std::to_string(classes_ - 1),
         "the file is damaged or of another format", file);
  }

  DatasetWriter& writer_;
  std::int64_t classes_;
  Progress& progress_;
  std::int64_t total_ = 0;
  std::vector<std::uint8_t> records_ = std::vector<std::uint8_t>(kPiece * kRecord);
  std::vector<std::uint8_t> images_ = std::vector<std::uint8_t>(kPiece * kPixels);
  std::vector<std::uint8_t> labels_ = std::vector<std::uint8_t>(kPiece);
};

}  // namespace

void import_cifar10(const fs::path& source, const ImportOptions& options) {
  if (!fs::exists(source)) fail(ErrorKind::usage, "no such file or folder", {}, source.string());
  const Contents contents = survey(source);
  const auto& classes = options.class_names.empty() ? contents.class_names : options.class_names;
  DatasetWriter writer(options.output,
                       {options.name.empty() ? "cifar10" : options.name, classes,
                        options.source.empty() ? fs::absolute(source).string() : options.source, kShape,
                        contents.train_count, contents.test_count},
                       options.replace);
  Progress progress("importing " + source.filename().string(), contents.train_count + contents.test_count, "images");
  RecordCopier copier(writer, static_cast<std::int64_t>(classes.size()), progress);
  for_each_file(source, [&](const std::string& name, std::int64_t, InputFile& stream) {
    if (is_batch(name)) copier.copy(where(source, name), contents.places.at(name), stream);
  });
  writer.finish();
}

}  // namespace lockstep
