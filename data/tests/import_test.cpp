#include "lockstep/data/import.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <random>

#include "lockstep/data/hdf5_dataset.h"
#include "lockstep/data/tests/published_files.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using testing::Files;

void expect_samples(const fs::path& file, const std::string& split, std::int64_t first, std::int64_t count,
                    std::int64_t pixels) {
  const Hdf5Dataset dataset = Hdf5Dataset::open(file, split).value();
  ASSERT_EQ(dataset.count(), count);
  for (std::int64_t sample = 0; sample < count; ++sample) {
    EXPECT_EQ(dataset.label(sample), (first + sample) % 10);
    for (std::int64_t at = 0; at < pixels; ++at)
      ASSERT_EQ(dataset.image(sample)[at], testing::published_pixel(first + sample, at));
  }
}

TEST(ImportCifar10, TakesAFolder) {
  const TemporaryDirectory folder;
  testing::write_files(folder / "in", testing::cifar_files());
  EXPECT_EQ(recognise_importer(folder / "in"), "cifar10");
  import_cifar10(folder / "in", {.output = folder / "out.h5"});
  expect_samples(folder / "out.h5", "train", 0, 10, 3072);
  expect_samples(folder / "out.h5", "test", 10, 3, 3072);
  const Hdf5Dataset dataset = Hdf5Dataset::open(folder / "out.h5", "train").value();
  EXPECT_EQ(dataset.image_shape(), (std::array<std::int64_t, 3>{3, 32, 32}));
  EXPECT_EQ(dataset.class_names()[9], "truck");
  EXPECT_EQ(dataset.name(), "cifar10");
}

// As in the published archive, the files are in no particular order; the samples are.
TEST(ImportCifar10, TakesAnArchiveInAnyOrder) {
  const TemporaryDirectory folder;
  Files files = testing::cifar_files();
  std::swap(files[0], files[5]);
  std::swap(files[1], files[3]);
  files.insert(files.begin() + 2, {"batches.meta.txt", "c0\nc1\r\nc2\nc3\nc4\nc5\nc6\nc7\nc8\nc9\n\n"});
  files.insert(files.begin() + 1, {"readme.html", std::string(5000, 'h')});
  for (const auto& [name, bytes] :
       {std::pair{"a.tar.gz", testing::gzip(testing::tar(files))}, std::pair{"a.tar", testing::tar(files)}}) {
    write_contents(folder / name, bytes);
    import_cifar10(folder / name, {.output = folder / "out.h5", .replace = true});
    expect_samples(folder / "out.h5", "train", 0, 10, 3072);
    expect_samples(folder / "out.h5", "test", 10, 3, 3072);
    EXPECT_EQ(Hdf5Dataset::open(folder / "out.h5", "test").value().class_names()[1], "c1");
  }
}

TEST(ImportIdx, TakesPlainAndGzipFiles) {
  const TemporaryDirectory folder;
  for (const bool packed : {false, true}) {
    Files files = testing::idx_files();
    for (auto& [name, bytes] : files) {
      if (!packed) continue;
      name += ".gz";
      bytes = testing::gzip(bytes);
    }
    fs::remove_all(folder / "in");
    testing::write_files(folder / "in", files);
    EXPECT_EQ(recognise_importer(folder / "in"), "idx");
    import_idx(folder / "in", {.name = "tiny", .output = folder / "out.h5", .replace = packed});
    expect_samples(folder / "out.h5", "train", 0, 11, 12);
    expect_samples(folder / "out.h5", "test", 11, 4, 12);
    EXPECT_EQ(Hdf5Dataset::open(folder / "out.h5", "train").value().image_shape(),
              (std::array<std::int64_t, 3>{1, 3, 4}));
  }
}

TEST(Import, NeverReplacesAFileUnasked) {
  const TemporaryDirectory folder;
  testing::write_files(folder / "in", testing::idx_files());
  write_contents(folder / "out.h5", "precious");
  EXPECT_THROW(import_idx(folder / "in", {.output = folder / "out.h5"}), Failure);
  EXPECT_EQ(contents(folder / "out.h5"), "precious");
  import_idx(folder / "in", {.output = folder / "out.h5", .replace = true});
  expect_samples(folder / "out.h5", "test", 11, 4, 12);
}

// What is done to sound files, and what the message must say.
struct BadInput {
  const char* title;
  std::function<void(Files&)> damage;
  std::string words;
};

std::string& bytes_of(Files& files, const std::string& name) {
  return std::find_if(files.begin(), files.end(), [&](const auto& file) { return file.first == name; })->second;
}

// Runs the importer on the damaged files: one usage error with these words, and the output's folder stays empty.
void expect_refused(const Files& files, const std::string& importer, const std::string& words) {
  const TemporaryDirectory folder;
  testing::write_files(folder / "in", files);
  fs::create_directory(folder / "out");
  try {
    run_importer(importer, folder / "in", {.output = folder / "out" / "x.h5"});
    ADD_FAILURE() << "was taken; expected: " << words;
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::usage) << failure.what();
    EXPECT_NE(std::string(failure.what()).find(words), std::string::npos) << failure.what() << "\nexpected: " << words;
  }
  EXPECT_TRUE(fs::is_empty(folder / "out"));
}

TEST(ImportCifar10, SaysWhatIsWrongWithAFolder) {
  const std::vector<BadInput> cases{
      {"truncated", [](Files& f) { bytes_of(f, "data_batch_4.bin").resize(6145); },
       "data_batch_4.bin: is 6145 bytes long, expected whole records of 3073 bytes (a label and 3x32x32 pixels); 3072 "
       "bytes are left over after record 1"},
      {"trailing", [](Files& f) { bytes_of(f, "test_batch.bin") += "x"; }, "test_batch.bin: is 9220 bytes long"},
      {"label", [](Files& f) { bytes_of(f, "data_batch_2.bin")[3073] = 10; },
       "data_batch_2.bin: record 1 (byte 3073) has label 10, expected 0 to 9"},
      {"empty", [](Files& f) { bytes_of(f, "data_batch_1.bin").clear(); }, "data_batch_1.bin: is empty"},
      {"missing", [](Files& f) { f.erase(f.begin() + 2); }, "data_batch_3.bin is missing"}};
  for (const BadInput& bad : cases) {
    SCOPED_TRACE(bad.title);
    Files files = testing::cifar_files();
    bad.damage(files);
    expect_refused(files, "cifar10", bad.words);
  }
}

TEST(ImportIdx, SaysWhatIsWrong) {
  const std::string images = "train-images-idx3-ubyte", labels = "t10k-labels-idx1-ubyte";
  const std::vector<BadInput> cases{
      {"truncated", [&](Files& f) { bytes_of(f, images).pop_back(); },
       "train-images-idx3-ubyte: is 147 bytes long, but its header tells of 148: it is truncated"},
      {"truncated header", [&](Files& f) { bytes_of(f, images).resize(6); },
       "ends at byte 6, expected the number of images from byte 4 to 8"},
      {"magic", [&](Files& f) { bytes_of(f, images)[3] = 1; },
       "has the magic number 0x00000801 at byte 0, expected 0x00000803 (unsigned bytes in 3 dimensions)"},
      {"label", [&](Files& f) { bytes_of(f, labels)[10] = 77; },
       "t10k-labels-idx1-ubyte: record 2 (byte 10) has label 77, expected 0 to 9"},
      {"counts", [&](Files& f) { bytes_of(f, labels) = testing::idx_labels(11, 5); }, "holds 5 labels, but "},
      {"trailing", [&](Files& f) { bytes_of(f, labels) += "yz"; },
       "is 14 bytes long, but its header tells of 12: bytes follow the last record"},
      {"empty", [&](Files& f) { bytes_of(f, labels).clear(); }, "t10k-labels-idx1-ubyte: is empty"},
      {"huge", [&](Files& f) { bytes_of(f, images).replace(4, 12, std::string(12, '\xff')); },
       "has 4294967295 images of 4294967295x4294967295 pixels"},
      {"missing", [&](Files& f) { f.pop_back(); }, "these files are missing, plain or as .gz: t10k-labels-idx1-ubyte"},
      {"not gzip", [&](Files& f) { f[1].first += ".gz"; },
       "is named as gzip, but its first bytes are not those of gzip (1f 8b)"},
      {"gzip, truncated",
       [&](Files& f) {
         f[0] = {images + ".gz", testing::gzip(f[0].second).substr(0, 60)};
       },
       "the file ends too early"},
      {"gzip, short inside",
       [&](Files& f) {
         f[0] = {images + ".gz", testing::gzip(f[0].second.substr(0, 100))};
       },
       "ends at byte 100 (unpacked), expected images 0 to 11 from byte 16 to 148"},
      {"gzip, trailing",
       [&](Files& f) {
         f[0] = {images + ".gz", testing::gzip(f[0].second + "x")};
       },
       "has bytes after the end of the last image, from byte 148"},
      {"gzip, flipped bits",
       [&](Files& f) {
         f[0] = {images + ".gz", testing::gzip(f[0].second)};
         f[0].second[f[0].second.size() - 6] ^= 0x40;  // in the checksum
       },
       "the gzip data are damaged"}};
  for (const BadInput& bad : cases) {
    SCOPED_TRACE(bad.title);
    Files files = testing::idx_files();
    bad.damage(files);
    expect_refused(files, "idx", bad.words);
  }
}

void expect_archive_refused(const std::string& bytes, const std::string& words) {
  const TemporaryDirectory folder;
  write_contents(folder / "c.tar.gz", bytes);
  try {
    import_cifar10(folder / "c.tar.gz", {.output = folder / "x.h5"});
    ADD_FAILURE() << "was taken; expected: " << words;
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::usage);
    EXPECT_NE(std::string(failure.what()).find(words), std::string::npos) << failure.what();
  }
  EXPECT_FALSE(fs::exists(folder / "x.h5"));
}

TEST(ImportCifar10, SaysWhatIsWrongWithAnArchive) {
  const std::string archive = testing::tar(testing::cifar_files());
  expect_archive_refused(testing::gzip(archive.substr(0, 1536)), "expected the contents of a file in the archive");
  expect_archive_refused(testing::gzip(archive.substr(0, 512 + 100)), "expected a tar header from byte 512 to 1024");
  expect_archive_refused(testing::gzip(archive).substr(0, 2000), "the gzip data are damaged after");
  expect_archive_refused(archive, "is named as gzip, but");
  expect_archive_refused("", "is empty");
  std::string damaged = archive;
  damaged[512 + 10] ^= 1;
  expect_archive_refused(testing::gzip(damaged), "has no tar header at byte 512 (its checksum is wrong)");
  expect_archive_refused(testing::gzip(testing::tar({{"data_batch_1.bin", testing::cifar_record(1)}})),
                         "data_batch_2.bin is missing");
  Files files = testing::cifar_files();
  bytes_of(files, "test_batch.bin")[2 * 3073] = 99;
  expect_archive_refused(testing::gzip(testing::tar(files)),
                         "c.tar.gz, test_batch.bin: record 2 (byte 6146) has label 99, expected 0 to 9");
}

// Damaged at random: every input is taken or refused with a Failure, and nothing else happens.
TEST(Import, SurvivesRandomDamage) {
  const TemporaryDirectory folder;
  std::mt19937 random(12345);
  const auto damage = [&](std::string bytes) {
    for (unsigned times = random() % 4 + 1; times > 0 && !bytes.empty(); --times) {
      // Mostly in the headers, where it matters.
      const std::size_t at = random() % (random() % 2 == 0 ? std::min<std::size_t>(bytes.size(), 600) : bytes.size());
      const unsigned kind = random() % 4;
      if (kind == 0)
        bytes[at] = static_cast<char>(random());
      else if (kind == 1)
        bytes[at] ^= static_cast<char>(1 << random() % 8);
      else if (kind == 2)
        bytes.resize(at);
      else
        bytes.insert(at, std::string(random() % 700, static_cast<char>(random())));
    }
    return bytes;
  };
  const auto survive = [&](const std::string& importer, const fs::path& source) {
    try {
      run_importer(importer, source, {.output = folder / "out.h5", .replace = true});
    } catch (const Failure&) {
    }
  };
  const Files files = testing::idx_files();
  const std::string archive = testing::tar(testing::cifar_files());
  for (int round = 0; round < 400; ++round) {
    Files damaged = files;
    std::string& bytes = damaged[random() % 4].second;
    bytes = damage(bytes);
    testing::write_files(folder / "idx", damaged);
    survive("idx", folder / "idx");
    write_contents(folder / "a.tar", damage(archive));
    survive("cifar10", folder / "a.tar");
    if (round % 8 != 0) continue;
    write_contents(folder / "b.tar.gz", damage(testing::gzip(archive)));
    survive("cifar10", folder / "b.tar.gz");
  }
}

TEST(Import, RefusesWhatIsNotThereOrNoFile) {
  const TemporaryDirectory folder;
  const ImportOptions options{.output = folder / "x.h5"};
  EXPECT_THROW(import_cifar10(folder / "none", options), Failure);
  EXPECT_THROW(import_idx(folder / "none", options), Failure);
  EXPECT_THROW(run_importer("cifar", folder.path(), options), Failure);
  EXPECT_EQ(recognise_importer(folder.path()), "");
  // A pipe would block for ever if it were opened.
  Files files = testing::cifar_files();
  testing::write_files(folder / "in", {files.begin() + 1, files.end()});
  ASSERT_EQ(mkfifo((folder / "in" / "data_batch_1.bin").c_str(), 0600), 0);
  EXPECT_THROW(import_cifar10(folder / "in", options), Failure);
}

}  // namespace
}  // namespace lockstep
