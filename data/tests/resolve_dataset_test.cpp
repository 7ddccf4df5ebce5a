#include "lockstep/data/resolve_dataset.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "lockstep/data/describe_dataset.h"
#include "lockstep/data/file_digest.h"
#include "lockstep/data/hdf5_dataset.h"
#include "lockstep/data/synthetic.h"
#include "lockstep/data/tests/published_files.h"
#include "lockstep/data/tests/small_dataset.h"
#include "lockstep/data/workspace_data.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class ResolveData : public ::testing::Test {
 protected:
  Workspace workspace() const { return Workspace::find_or_create(folder_.path()).value(); }
  fs::path resolve(const std::string& reference) const { return resolve_data(reference, folder_.path()).value(); }
  Error refusal(const std::string& reference) const {
    const auto result = resolve_data(reference, folder_.path());
    if (!result) return result.error();
    ADD_FAILURE() << reference << " gave " << result->string();
    return {};
  }
  // A data set of `train_count` samples, registered as `name`.
  DatasetRecord registered(const std::string& name, std::int64_t train_count) {
    const fs::path file = folder_ / (name + std::to_string(train_count) + ".h5");
    if (!fs::exists(file)) testing::SmallDataset{.train_count = train_count}.write(file);
    return register_dataset_file(workspace(), name, file, "test").value();
  }

  TemporaryDirectory folder_;
};

TEST_F(ResolveData, ARegisteredNameIsItsNewestVersion) {
  EXPECT_EQ(registered("small", 8).version, 1);
  EXPECT_EQ(registered("small", 9).version, 2);
  EXPECT_EQ(registered("small", 9).version, 2);  // the same again
  EXPECT_EQ(describe_dataset(resolve("small"))->splits[0].count, 9);
  EXPECT_EQ(describe_dataset(resolve("small@1"))->splits[0].count, 8);
  EXPECT_NE(refusal("small@3").message().find("has no version '3'; it has 1 to 2"), std::string::npos);
}

TEST_F(ResolveData, UnknownNamesGetHelp) {
  registered("holiday-photos", 3);
  const Error typo = refusal("holiday-phots");
  EXPECT_EQ(typo.kind, ErrorKind::usage);
  EXPECT_NE(typo.what.find("did you mean holiday-photos?"), std::string::npos) << typo.what;
  EXPECT_EQ(refusal("cifar10").hint, "get it with: lockstep data fetch cifar10");
  EXPECT_EQ(refusal("").kind, ErrorKind::usage);
  EXPECT_EQ(refusal("../no/such@place").kind, ErrorKind::usage);
}

TEST_F(ResolveData, ARelativePathSaysWhereItWasLookedFor) {
  const Error outside = refusal("digits/x.h5");
  EXPECT_NE(outside.what.find("'digits/x.h5' in " + folder_.path().string()), std::string::npos) << outside.what;
  EXPECT_EQ(outside.hint.find("copy of the source directory"), std::string::npos) << outside.hint;
  setenv("LOCKSTEP_RUN_DIR", folder_.path().c_str(), 1);
  const Error inside = refusal("digits/x.h5"), absolute = refusal("/no/such/x.h5"), name = refusal("cifar10");
  unsetenv("LOCKSTEP_RUN_DIR");
  EXPECT_NE(inside.hint.find("ranks run in a copy of the source directory"), std::string::npos) << inside.hint;
  EXPECT_EQ(absolute.hint.find("copy of the source directory"), std::string::npos) << absolute.hint;
  EXPECT_EQ(name.hint, "get it with: lockstep data fetch cifar10");
}

TEST_F(ResolveData, NoWorkspaceIsMadeForAFileOrATypo) {
  testing::SmallDataset().write(folder_ / "plain.h5");
  EXPECT_EQ(resolve("plain.h5"), folder_ / "plain.h5");
  EXPECT_EQ(resolve((folder_ / "plain.h5").string()), folder_ / "plain.h5");
  EXPECT_EQ(refusal("plane.h5").kind, ErrorKind::usage);
  EXPECT_FALSE(fs::exists(folder_ / ".lockstep"));
}

TEST_F(ResolveData, ARecordWhoseFileChangedIsNoted) {
  const DatasetRecord record = registered("small", 8);
  fs::resize_file(record.path, static_cast<std::uintmax_t>(record.bytes) - 1);
  EXPECT_EQ(refusal("small").kind, ErrorKind::corrupt_data);
  fs::remove(record.path);
  EXPECT_NE(refusal("small").message().find("its file is gone"), std::string::npos);
}

TEST_F(ResolveData, AFolderIsImportedOnceAndAgainWhenItChanges) {
  testing::write_files(folder_ / "tiny", testing::idx_files());
  const fs::path first = resolve("tiny");
  const auto written = fs::last_write_time(first);
  EXPECT_EQ(Hdf5Dataset::open(first, "train").value().name(), "tiny");
  EXPECT_EQ(resolve((folder_ / "tiny").string() + "/"), first);
  EXPECT_EQ(fs::last_write_time(first), written);
  write_contents(folder_ / "tiny" / "t10k-labels-idx1-ubyte", testing::idx_labels(2, 4));
  const fs::path second = resolve("tiny");
  EXPECT_NE(second, first);
  EXPECT_EQ(Hdf5Dataset::open(second, "test").value().label(0), 2);
  // A registered folder is the same folder.
  DatasetRecord record;
  record.name = "kept";
  record.path = folder_ / "tiny";
  ASSERT_TRUE(register_dataset(workspace(), record));
  EXPECT_EQ(resolve("kept"), second);
}

TEST_F(ResolveData, TakesAnArchive) {
  write_contents(folder_ / "c.tar.gz", testing::gzip(testing::tar(testing::cifar_files())));
  EXPECT_EQ(describe(describe_dataset(resolve("c.tar.gz")).value()),
            "10 training and 3 test images of 3x32x32, 10 classes");
}

TEST_F(ResolveData, AFolderThatNoImporterTakesIsAnError) {
  testing::write_files(folder_ / "text", {{"readme.txt", "hello"}});
  EXPECT_NE(refusal("text").message().find("holds no files that an importer takes"), std::string::npos);
}

// As the first ranks of several nodes do on a shared file system.
TEST_F(ResolveData, SeveralMayImportAtOnce) {
  testing::write_files(folder_ / "tiny", testing::idx_files());
  workspace();
  std::vector<fs::path> found(6);
  std::vector<std::thread> threads;
  for (fs::path& path : found) threads.emplace_back([&] { path = resolve("tiny"); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::set<fs::path>(found.begin(), found.end()).size(), 1U);
  EXPECT_TRUE(verify_dataset(found.front()).empty());
  int files = 0;
  for (const auto& entry : fs::directory_iterator(found.front().parent_path())) files += entry.is_regular_file();
  EXPECT_EQ(files, 1);  // no temporary file is left
}

TEST_F(ResolveData, SyntheticDataAreRepeatableAndDifferByClass) {
  const fs::path file = resolve("synthetic:2x6x5:3:60");
  EXPECT_EQ(describe(describe_dataset(file).value()), "60 training and 10 test images of 2x6x5, 3 classes");
  const std::string digest = sha256_of_range(file, 0, static_cast<std::int64_t>(fs::file_size(file)));
  write_synthetic(parse_synthetic("synthetic:2x6x5:3:60").value(), folder_ / "again.h5", false);
  EXPECT_EQ(sha256_of_range(folder_ / "again.h5", 0, static_cast<std::int64_t>(fs::file_size(folder_ / "again.h5"))),
            digest);
  const Hdf5Dataset dataset = Hdf5Dataset::open(file, "train").value();
  // The nearest other image (by absolute difference) has the same label: the classes can be told apart.
  for (std::int64_t a = 0; a < 60; ++a) {
    std::int64_t nearest = -1, least = 1 << 30;
    for (std::int64_t b = 0; b < 60; ++b) {
      std::int64_t distance = 0;
      for (int at = 0; at < 60; ++at) distance += std::abs(dataset.image(a)[at] - dataset.image(b)[at]);
      if (b != a && distance < least) least = distance, nearest = b;
    }
    EXPECT_EQ(dataset.label(a), dataset.label(nearest)) << a;
    EXPECT_GT(least, 0);
  }
}

TEST_F(ResolveData, SyntheticReferencesAreChecked) {
  for (const char* wrong : {"synthetic:", "synthetic:1x28x28:10", "synthetic:1x28:10:60", "synthetic:1x28x28:1:60",
                            "synthetic:1x28x28:257:60", "synthetic:0x28x28:10:60", "synthetic:1x28x28:10:60x",
                            "synthetic:1x28x28:10:-1", "synthetic:1x99999x28:10:60"}) {
    const Error error = refusal(wrong);
    EXPECT_EQ(error.kind, ErrorKind::usage) << wrong;
    EXPECT_NE(error.hint.find("synthetic:1x28x28:10:60000"), std::string::npos);
  }
}

TEST(VerifyDataset, NamesWhatDiffers) {
  const TemporaryDirectory folder;
  testing::SmallDataset().write(folder / "a.h5");
  EXPECT_TRUE(verify_dataset(folder / "a.h5").empty());
  std::string bytes = contents(folder / "a.h5");
  std::string image(30, '\0');  // sample 25: the third of the test split
  for (std::int64_t at = 0; at < 30; ++at)
    image[static_cast<std::size_t>(at)] = static_cast<char>(testing::small_pixel(25, at));
  const std::size_t place = bytes.find(image);
  ASSERT_NE(place, std::string::npos);
  bytes[place + 7] ^= 1;
  write_contents(folder / "a.h5", bytes);
  const auto differences = verify_dataset(folder / "a.h5");
  ASSERT_EQ(differences.size(), 1U);
  EXPECT_NE(differences[0].find("/test/images: SHA-256 is "), std::string::npos);
}

}  // namespace
}  // namespace lockstep
