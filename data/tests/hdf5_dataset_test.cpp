#include "lockstep/data/hdf5_dataset.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "lockstep/core/tests/temporary_directory.h"
#include "lockstep/data/dataset_format.h"
#include "lockstep/data/hdf5_file.h"
#include "lockstep/data/tests/small_dataset.h"

namespace lockstep {
namespace {

using testing::SmallDataset;

TEST(Hdf5Dataset, GivesBackWhatWasWritten) {
  const TemporaryDirectory folder;
  const SmallDataset small;
  small.write(folder / "small.h5");
  for (const std::string split : {"train", "test"}) {
    const Hdf5Dataset dataset = Hdf5Dataset::open(folder / "small.h5", split).value();
    const std::int64_t first = split == "train" ? 0 : small.train_count;
    EXPECT_EQ(dataset.count(), split == "train" ? small.train_count : small.test_count);
    EXPECT_EQ(dataset.image_shape(), small.shape);
    EXPECT_EQ(dataset.class_count(), 7);
    EXPECT_EQ(dataset.class_names()[6], "class 6");
    EXPECT_EQ(dataset.name(), "small");
    for (std::int64_t sample = 0; sample < dataset.count(); ++sample) {
      EXPECT_EQ(dataset.label(sample), testing::small_label(first + sample, 7));
      for (std::int64_t at = 0; at < 30; ++at)
        ASSERT_EQ(dataset.image(sample)[at], testing::small_pixel(first + sample, at));
    }
  }
}

TEST(Hdf5Dataset, MeanAndDeviationAreThoseOfTheTrainingImages) {
  const TemporaryDirectory folder;
  const SmallDataset small;
  small.write(folder / "small.h5");
  const Hdf5Dataset dataset = Hdf5Dataset::open(folder / "small.h5", "test").value();
  for (std::int64_t channel = 0; channel < 2; ++channel) {
    double mean = 0, square = 0;
    for (std::int64_t sample = 0; sample < small.train_count; ++sample) {
      for (std::int64_t at = 0; at < 15; ++at)
        mean += testing::small_pixel(sample, channel * 15 + at) / 255.0 / (23 * 15);
    }
    for (std::int64_t sample = 0; sample < small.train_count; ++sample) {
      for (std::int64_t at = 0; at < 15; ++at) {
        const double off = testing::small_pixel(sample, channel * 15 + at) / 255.0 - mean;
        square += off * off / (23 * 15);
      }
    }
    EXPECT_NEAR(dataset.mean()[static_cast<std::size_t>(channel)], mean, 1e-7);
    EXPECT_NEAR(dataset.std_deviation()[static_cast<std::size_t>(channel)], std::sqrt(square), 1e-7);
  }
}

// A file in the documented layout with one thing changed.
struct Variant {
  std::string format = "lockstep-dataset";
  std::int64_t version = 1;
  std::vector<std::string> classes{"a", "b"};
  std::vector<double> mean{0.5}, std{0.25};
  Hdf5Type image_type = Hdf5Type::uint8, label_type = Hdf5Type::int64;
  Hdf5Shape images{3, 1, 2, 2}, labels{3};
  std::vector<std::int64_t> label_values{0, 1, 1};
  std::string split = "train";

  void write(const std::filesystem::path& path) const {
    std::filesystem::remove(path);
    Hdf5File file = Hdf5File::create(path);
    file.write_string("/", "format", format);
    file.write_integer("/", "format_version", version);
    file.write_strings("/", "class_names", classes);
    file.write_numbers("/", "mean", mean);
    file.write_numbers("/", "std", std);
    file.create_group("/" + split);
    file.write_array("/" + split + "/images", image_type, images, std::vector<char>(1000, 'p').data());
    file.write_array("/" + split + "/labels", label_type, labels, label_values.data());
    file.close();
  }
};

TEST(Hdf5Dataset, TakesAFileWithTheDocumentedMinimum) {
  const TemporaryDirectory folder;
  Variant().write(folder / "plain.h5");
  const Hdf5Dataset dataset = Hdf5Dataset::open(folder / "plain.h5", "train").value();
  EXPECT_EQ(dataset.name(), "plain");
  EXPECT_EQ(dataset.label(2), 1);
  EXPECT_EQ(dataset.image(2)[3], 'p');
}

TEST(Hdf5Dataset, SaysWhatIsWrong) {
  const std::vector<std::pair<std::string, std::function<void(Variant&)>>> cases{
      {"is an HDF5 file, but no data set of Lockstep", [](Variant& v) { v.format = "other"; }},
      {"has format_version 2, this program reads 1\n  update Lockstep", [](Variant& v) { v.version = 2; }},
      {"attribute class_names is empty", [](Variant& v) { v.classes = {}; }},
      {"attribute mean has 3 values, expected one for each of 1 channels",
       [](Variant& v) {
         v.mean = {1, 2, 3};
       }},
      {"attribute std holds 0.000000", [](Variant& v) { v.std = {0}; }},
      {"attribute mean holds nan", [](Variant& v) { v.mean = {NAN}; }},
      {"is not an array of uint8 with 4 dimensions", [](Variant& v) { v.image_type = Hdf5Type::float32; }},
      {"is not an array of uint8 with 4 dimensions",
       [](Variant& v) {
         v.images = {3, 2, 2};
       }},
      {"is not a list of uint8 or int64", [](Variant& v) { v.label_type = Hdf5Type::float64; }},
      {"is not a list of uint8 or int64",
       [](Variant& v) {
         v.labels = {3, 1};
       }},
      {"holds 2 labels for 3 images", [](Variant& v) { v.labels = {2}; }},
      {"has no samples",
       [](Variant& v) {
         v.images = {0, 1, 2, 2};
       }},
      {"train/labels: sample 1 has label 2, expected 0 to 1",
       [](Variant& v) {
         v.label_values = {0, 2, 1};
       }},
      {"sample 2 has label -1, expected 0 to 1",
       [](Variant& v) {
         v.label_values = {0, 1, -1};
       }},
      {"has no split \"train\"; it has: validation", [](Variant& v) { v.split = "validation"; }}};
  const TemporaryDirectory folder;
  for (const auto& [words, change] : cases) {
    Variant variant;
    change(variant);
    variant.write(folder / "v.h5");
    const auto result = Hdf5Dataset::open(folder / "v.h5", "train");
    ASSERT_FALSE(result) << words;
    EXPECT_EQ(result.error().kind, ErrorKind::usage);
    EXPECT_NE(result.error().message().find(words), std::string::npos)
        << result.error().message() << "\nexpected: " << words;
    EXPECT_NE(result.error().message().find("v.h5"), std::string::npos);
  }
}

TEST(Hdf5Dataset, LabelsThatAnotherRankChecksAreNotRead) {
  const TemporaryDirectory folder;
  Variant variant;
  variant.label_values = {0, 2, 1};
  variant.write(folder / "v.h5");
  EXPECT_FALSE(Hdf5Dataset::open(folder / "v.h5", "train"));
  EXPECT_EQ(Hdf5Dataset::open(folder / "v.h5", "train", Hdf5Dataset::Labels::trusted).value().label(1), 2);
  variant.labels = {2};
  variant.write(folder / "v.h5");
  EXPECT_FALSE(Hdf5Dataset::open(folder / "v.h5", "train", Hdf5Dataset::Labels::trusted)) << "all else is checked";
}

TEST(Hdf5Dataset, RefusesATruncatedFile) {
  const TemporaryDirectory folder;
  SmallDataset{.train_count = 3000}.write(folder / "whole.h5");
  const std::string bytes = contents(folder / "whole.h5");
  for (const std::size_t part : {std::size_t{0}, std::size_t{100}, bytes.size() / 2, bytes.size() - 1}) {
    write_contents(folder / "torn.h5", bytes.substr(0, part));
    const auto result = Hdf5Dataset::open(folder / "torn.h5", "train");
    ASSERT_FALSE(result) << part;
    EXPECT_EQ(result.error().kind, ErrorKind::usage);
    EXPECT_NE(result.error().message().find("torn.h5"), std::string::npos);
  }
}

TEST(Hdf5Dataset, NeverReplacesAFileUnasked) {
  const TemporaryDirectory folder;
  write_contents(folder / "mine.h5", "precious");
  EXPECT_THROW(SmallDataset().write(folder / "mine.h5"), Failure);
  EXPECT_EQ(contents(folder / "mine.h5"), "precious");
}

TEST(NewFile, AFileThatAppearedMeanwhileStays) {
  const TemporaryDirectory folder;
  for (const bool replace : {false, true}) {
    NewFile file(folder / "a.h5", replace);
    write_contents(file.temporary(), "new");
    write_contents(folder / "a.h5", "precious");
    if (replace)
      file.publish();
    else
      EXPECT_THROW(file.publish(), Failure);
    EXPECT_EQ(contents(folder / "a.h5"), replace ? "new" : "precious");
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);  // no temporary file is left
}

TEST(Hdf5Dataset, AnAbandonedWriterLeavesNothing) {
  const TemporaryDirectory folder;
  { DatasetWriter writer(folder / "a.h5", {"a", {"x"}, "", {1, 2, 2}, 10, 10}, false); }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace lockstep
