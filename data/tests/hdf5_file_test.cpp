#include "lockstep/data/hdf5_file.h"

#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>
#include <limits>
#include <vector>

#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

// The Error that `action` fails with; a test failure when it does not fail.
template <typename Action>
Error error_of(Action action) {
  try {
    action();
  } catch (const Failure& failure) {
    return failure.error();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

#define EXPECT_REFUSED(action, words)                                                            \
  do {                                                                                           \
    const Error error = error_of([&] { action; });                                               \
    EXPECT_EQ(error.kind, ErrorKind::corrupt_data);                                              \
    EXPECT_NE(error.message().find(words), std::string::npos) << "message: " << error.message(); \
  } while (false)

TEST(Hdf5File, ReadsBackListsOfTextOfAnyLength) {
  const TemporaryDirectory folder;
  std::vector<std::string> many{"", "Größe", "two\nlines"};
  for (int i = 0; i < 20'000; ++i) many.push_back("layers." + std::to_string(i) + ".weight");
  Hdf5File file = Hdf5File::create(folder / "a.h5");
  file.write_texts("/many", many);
  file.write_texts("/none", {});
  file.close();
  const Hdf5File again = Hdf5File::open(folder / "a.h5");
  EXPECT_EQ(again.read_texts("/many"), many);
  EXPECT_TRUE(again.read_texts("/none").empty());
}

TEST(Hdf5File, ReadsBackEveryTypeShapeAndAttribute) {
  const TemporaryDirectory folder;
  const std::vector<std::uint8_t> bytes{0, 1, 127, 128, 255, 3};
  const std::vector<std::int32_t> ints{-2147483647 - 1, 2147483647};
  const std::vector<std::int64_t> longs{std::numeric_limits<std::int64_t>::min(), 9007199254740993};
  const std::vector<float> floats{-0.0F, 1e-45F, 3.4028235e38F, 0.1F};
  const std::vector<double> doubles{-5e-324, 0.1};
  const std::vector<std::uint16_t> brain{0x3f80, 0xff80, 0x0001};
  const std::vector<std::string> classes{"T-shirt/top", "", "Größe"};
  {
    Hdf5File file = Hdf5File::create(folder / "a.h5");
    file.create_group("/group");
    file.write_array("/group/bytes", Hdf5Type::uint8, {1, 3, 2}, bytes.data());
    file.write_array("/ints", Hdf5Type::int32, {2}, ints.data());
    file.write_array("/longs", Hdf5Type::int64, {2, 1}, longs.data());
    file.write_array("/floats", Hdf5Type::float32, {2, 2}, floats.data());
    file.write_array("/doubles", Hdf5Type::float64, {2}, doubles.data());
    file.write_array("/brain", Hdf5Type::bfloat16, {3}, brain.data());
    file.write_array("/single", Hdf5Type::float64, {}, doubles.data());
    file.write_array("/nothing", Hdf5Type::float32, {0, 7}, nullptr);
    file.write_string("/", "text", "two\nlines");
    file.write_strings("/group", "classes", classes);
    file.write_strings("/group", "no_classes", {});
    file.write_integer("/ints", "count", -3);
    file.write_number("/ints", "mean", 0.1);
    file.write_numbers("/group/bytes", "means", doubles);
    file.close();
  }
  const Hdf5File file = Hdf5File::open(folder / "a.h5");
  EXPECT_EQ(file.names("/"),
            (std::vector<std::string>{"brain", "doubles", "floats", "group", "ints", "longs", "nothing", "single"}));
  const auto same = [&](const std::string& name, Hdf5Type type, const Hdf5Shape& shape, const auto& expected) {
    auto found = expected;
    std::fill(found.begin(), found.end(), 42);
    file.read_array(name, type, shape, found.data());
    EXPECT_EQ(std::memcmp(found.data(), expected.data(), expected.size() * sizeof(expected[0])), 0) << name;
  };
  same("/group/bytes", Hdf5Type::uint8, {1, 3, 2}, bytes);
  same("/ints", Hdf5Type::int32, {2}, ints);
  same("/longs", Hdf5Type::int64, {2, 1}, longs);
  same("/floats", Hdf5Type::float32, {2, 2}, floats);
  same("/doubles", Hdf5Type::float64, {2}, doubles);
  same("/brain", Hdf5Type::bfloat16, {3}, brain);
  same("/single", Hdf5Type::float64, {}, std::vector<double>{doubles[0]});
  EXPECT_EQ(file.array_info("/nothing").shape, (Hdf5Shape{0, 7}));
  EXPECT_EQ(file.read_string("/", "text"), "two\nlines");
  EXPECT_EQ(file.read_strings("/group", "classes"), classes);
  EXPECT_TRUE(file.read_strings("/group", "no_classes").empty());
  EXPECT_EQ(file.read_integer("/ints", "count"), -3);
  EXPECT_EQ(file.read_number("/ints", "mean"), 0.1);
  EXPECT_EQ(file.read_numbers("/group/bytes", "means"), doubles);
  EXPECT_TRUE(file.has("/group/bytes"));
  EXPECT_FALSE(file.has("/group/other"));
  EXPECT_FALSE(file.has("/other/bytes"));
  EXPECT_FALSE(file.has_attribute("/", "other"));
}

TEST(Hdf5File, TheOffsetLeadsToTheElements) {
  const TemporaryDirectory folder;
  std::vector<std::int32_t> rows(50000);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int32_t>(i * 2654435761U);
  Hdf5File writer = Hdf5File::create(folder / "a.h5");
  writer.create_array("/rows", Hdf5Type::int32, {500, 100});
  writer.write_rows("/rows", 123, 377, rows.data() + 12300);
  writer.write_rows("/rows", 0, 123, rows.data());
  EXPECT_EQ(error_of([&] { writer.write_rows("/rows", 499, 2, rows.data()); }).kind, ErrorKind::internal);
  writer.close();
  const Hdf5ArrayInfo info = Hdf5File::open(folder / "a.h5").array_info("/rows");
  EXPECT_EQ(info.offset % 4096, 0);
  const std::string bytes = contents(folder / "a.h5");
  ASSERT_LE(info.offset + info.bytes, static_cast<std::int64_t>(bytes.size()));
  EXPECT_EQ(std::memcmp(bytes.data() + info.offset, rows.data(), rows.size() * 4), 0);
}

TEST(Hdf5File, TheSameContentsGiveTheSameBytes) {
  const TemporaryDirectory folder;
  for (const char* name : {"a.h5", "b.h5"}) {
    Hdf5File file = Hdf5File::create(folder / name);
    file.create_group("/train");
    file.write_array("/train/x", Hdf5Type::uint8, {3}, "abc");
    file.write_string("/train", "source", "somewhere");
    file.close();
  }
  EXPECT_EQ(contents(folder / "a.h5"), contents(folder / "b.h5"));
}

TEST(Hdf5File, RefusesWhatIsNotAsExpected) {
  const TemporaryDirectory folder;
  Hdf5File writer = Hdf5File::create(folder / "a.h5");
  writer.create_group("/group");
  writer.write_array("/array", Hdf5Type::uint8, {2, 3}, "abcdef");
  writer.write_string("/", "text", "1");
  writer.write_numbers("/", "numbers", std::vector<double>{1, 2});
  writer.close();
  EXPECT_EQ(error_of([&] { Hdf5File::create(folder / "a.h5"); }).kind, ErrorKind::environment);
  EXPECT_EQ(error_of([&] { Hdf5File::open(folder / "none.h5"); }).kind, ErrorKind::usage);
  EXPECT_EQ(error_of([&] { Hdf5File::open(folder.path()); }).kind, ErrorKind::usage);
  const Hdf5File file = Hdf5File::open(folder / "a.h5");
  std::uint8_t room[64];
  EXPECT_REFUSED(file.read_array("/array", Hdf5Type::uint8, {3, 2}, room), "is uint8 [2, 3], expected uint8 [3, 2]");
  EXPECT_REFUSED(file.read_array("/array", Hdf5Type::int64, {2, 3}, room), "expected int64 [2, 3]");
  EXPECT_REFUSED(file.read_array("/gone", Hdf5Type::uint8, {1}, room), "a.h5, /gone: is missing");
  EXPECT_REFUSED(file.array_info("/group"), "is not a dataset");
  EXPECT_REFUSED(file.names("/array"), "is not a group");
  EXPECT_REFUSED(file.read_integer("/", "text"), "not of the type expected");
  EXPECT_REFUSED(file.read_string("/", "numbers"), "is not text");
  EXPECT_REFUSED(file.read_number("/", "numbers"), "has 2 values, expected one");
  EXPECT_REFUSED(file.read_string("/", "gone"), "attribute gone is missing");
}

TEST(Hdf5File, RefusesEveryTruncation) {
  const TemporaryDirectory folder;
  Hdf5File writer = Hdf5File::create(folder / "a.h5");
  writer.write_array("/array", Hdf5Type::float64, {3}, std::vector<double>{1, 2, 3}.data());
  writer.close();
  const std::string bytes = contents(folder / "a.h5");
  for (std::size_t length = 0; length < bytes.size(); length += 37) {
    write_contents(folder / "torn.h5", bytes.substr(0, length));
    EXPECT_REFUSED(Hdf5File::open(folder / "torn.h5"), "torn.h5: cannot be read as HDF5 (" + std::to_string(length));
  }
}

// Files as a hostile or careless program would write them, made with the C interface.
class Hdf5Foreign : public ::testing::Test {
 protected:
  void SetUp() override { file_ = H5Fcreate((folder_ / "f.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT); }
  Hdf5File reopen() {
    H5Fclose(file_);
    return Hdf5File::open(folder_ / "f.h5");
  }
  void dataset(const char* name, hid_t type, hsize_t count, hid_t creation) {
    const hid_t space = H5Screate_simple(1, &count, nullptr);
    const hid_t id = H5Dcreate2(file_, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    ASSERT_GE(id, 0);
    H5Dclose(id);
    H5Sclose(space);
  }

  TemporaryDirectory folder_;
  hid_t file_ = -1;
};

TEST_F(Hdf5Foreign, LinksThatLeaveTheFile) {
  write_contents(folder_ / "secret", "secret bytes");
  ASSERT_GE(H5Lcreate_external("secret.h5", "/x", file_, "external", H5P_DEFAULT, H5P_DEFAULT), 0);
  ASSERT_GE(H5Lcreate_soft("/external", file_, "soft", H5P_DEFAULT, H5P_DEFAULT), 0);
  const Hdf5File file = reopen();
  EXPECT_REFUSED(file.array_info("/external"), "/external: is a soft or external link");
  EXPECT_REFUSED(file.array_info("/soft"), "/soft: is a soft or external link");
  EXPECT_REFUSED(file.array_info("/external/further"), "is a soft or external link");
  EXPECT_REFUSED(file.has_attribute("/external", "a"), "is a soft or external link");
}

TEST_F(Hdf5Foreign, StorageThatLeavesTheFile) {
  write_contents(folder_ / "secret", "secret bytes");
  const hid_t external = H5Pcreate(H5P_DATASET_CREATE);
  ASSERT_GE(H5Pset_external(external, (folder_ / "secret").c_str(), 0, 12), 0);
  dataset("stolen", H5T_STD_U8LE, 12, external);
  H5Pclose(external);
  const Hdf5File file = reopen();
  std::uint8_t room[12];
  EXPECT_REFUSED(file.read_array("/stolen", Hdf5Type::uint8, {12}, room), "keeps its elements in another file");
}

TEST_F(Hdf5Foreign, FiltersAndChunks) {
  const hsize_t chunk = 10;
  const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(list, 1, &chunk);
  dataset("chunked", H5T_STD_U8LE, 100, list);
  H5Pset_deflate(list, 1);
  dataset("packed", H5T_STD_U8LE, 100, list);
  H5Pclose(list);
  const Hdf5File file = reopen();
  EXPECT_REFUSED(file.array_info("/chunked"), "is chunked or virtual");
  EXPECT_REFUSED(file.array_info("/packed"), "is compressed or filtered");
}

TEST_F(Hdf5Foreign, SizesThatTheFileDoesNotHold) {
  // Never written, hence never allocated: a file of 2 KB that would ask for 8 EiB of memory.
  dataset("huge", H5T_STD_U8LE, hsize_t{1} << 62, H5P_DEFAULT);
  const hsize_t extent[2] = {hsize_t{1} << 40, hsize_t{1} << 20};
  const hid_t space = H5Screate_simple(2, extent, nullptr);
  H5Dclose(H5Dcreate2(file_, "big", H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  H5Sclose(space);
  const Hdf5File file = reopen();
  EXPECT_REFUSED(file.array_info("/huge"), "but 0 bytes are stored");
  EXPECT_REFUSED(file.array_info("/big"), "big");
}

TEST_F(Hdf5Foreign, OtherElementTypes) {
  dataset("words", H5T_STD_U16LE, 4, H5P_DEFAULT);
  dataset("swapped", H5T_STD_I64BE, 4, H5P_DEFAULT);
  dataset("text", H5T_C_S1, 4, H5P_DEFAULT);
  const Hdf5File file = reopen();
  for (const char* name : {"/words", "/swapped", "/text"})
    EXPECT_REFUSED(file.array_info(name), "has an element type other");
}

TEST_F(Hdf5Foreign, OnlyListsOfTextAreReadAsTexts) {
  dataset("fixed", H5T_C_S1, 4, H5P_DEFAULT);
  dataset("words", H5T_STD_U16LE, 4, H5P_DEFAULT);
  const Hdf5File file = reopen();
  for (const char* name : {"/fixed", "/words"}) EXPECT_REFUSED(file.read_texts(name), "is not text of variable length");
  EXPECT_REFUSED(file.read_texts("/"), "is not a dataset");
  EXPECT_REFUSED(file.read_texts("/none"), "is missing");
}

TEST_F(Hdf5Foreign, FixedLengthStrings) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, 6);
  H5Tset_strpad(type, H5T_STR_SPACEPAD);
  const hsize_t two = 2;
  const hid_t space = H5Screate_simple(1, &two, nullptr);
  const hid_t id = H5Acreate2(file_, "names", type, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(id, type, "cat   airbus");
  H5Aclose(id);
  H5Sclose(space);
  H5Tclose(type);
  EXPECT_EQ(reopen().read_strings("/", "names"), (std::vector<std::string>{"cat", "airbus"}));
}

// The file cannot grow beyond a limit, as on a full disk. In a process of its own: the limit cannot be taken back.
TEST(Hdf5File, AFullDiskIsAnErrorAndNotACrash) {
  const TemporaryDirectory folder;
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 20, 1 << 20};
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      Hdf5File file = Hdf5File::create(folder / "full.h5");
      file.write_array("/small", Hdf5Type::uint8, {1000}, std::vector<char>(1000).data());
      file.write_array("/large", Hdf5Type::uint8, {4 << 20}, std::vector<char>(4 << 20, 'x').data());
      file.close();
    } catch (const Failure& failure) {
      const bool named = failure.error().kind == ErrorKind::environment &&
                         failure.error().message().find("full.h5") != std::string::npos;
      std::exit(named ? 42 : 3);  // with exit handlers: HDF5's crashes after a failed close unless it is switched off
    }
    std::exit(4);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

}  // namespace
}  // namespace lockstep
