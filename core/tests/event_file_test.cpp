#include "lockstep/core/event_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <limits>

#include "lockstep/core/crc32c.h"
#include "lockstep/core/error.h"
#include "lockstep/core/event_encoding.h"
#include "lockstep/core/tests/child_process.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

using namespace std::string_literals;
namespace fs = std::filesystem;

// The event file in TensorBoard's own tests: file_version at 1599759586.xx, then accuracy = 0.99 at step 77 as a tensor.
const std::string kGoldenVersion =
    "\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22\x09\x00\x00\x80\x38\x99\xd6\xd7\x41\x1a\x0d"
    "brain.Event:2\x12\x4b\x36\xab"s;
const std::string kGoldenScalar =
    "\x32\0\0\0\0\0\0\0\x24\x19\x56\xec\x09\xc4\x05\xb7\x3d\x99\xd6\xd7\x41\x10\x4d\x2a\x25\x0a\x23\x0a\x08"
    "accuracy\x42\x0a\x08\x01\x12\x00\x22\x04\xa4\x70\x7d\x3f\x4a\x0b\x0a\x09\x0a\x07"
    "scalars\xa5\x5b\x64\x33"s;

std::string one_file(const fs::path& directory) { return (directory / names_in(directory).at(0)).string(); }

std::vector<std::int64_t> steps_of(const ScalarLog& log, const std::string& tag) {
  std::vector<std::int64_t> steps;
  for (const auto& event : log.events) {
    if (event.tag == tag) steps.push_back(event.step);
  }
  return steps;
}

std::string as_text(const ScalarLog& log) {
  std::string text;
  for (const auto& e : log.events) text += e.tag + "@" + std::to_string(e.step) + "=" + std::to_string(e.value) + " ";
  return text;
}

TEST(Crc32c, KnownValues) {
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(masked_crc32c("123456789"), 0xC78AB0E5u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);   // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43u);
}

TEST(Crc32c, AgreesWithTheDefinitionBitByBit) {
  std::string bytes;
  for (int length = 0; length < 70; ++length) {
    std::uint32_t crc = 0xFFFFFFFFu;
    for (const char c : bytes) {
      crc ^= static_cast<unsigned char>(c);
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78u : 0u);
    }
    EXPECT_EQ(crc32c(bytes), ~crc) << length;
    bytes += static_cast<char>(length * 151 + 7);
  }
}

TEST(EventEncoding, TheFirstRecordIsTensorBoardsByteForByte) {
  EXPECT_EQ(frame_record(encode_file_version(1599759586.0)).size(), kGoldenVersion.size());
  double wall_time = 0;
  std::memcpy(&wall_time, kGoldenVersion.data() + 13, 8);
  EXPECT_EQ(frame_record(encode_file_version(wall_time)), kGoldenVersion);
}

TEST(EventEncoding, AScalarIsWhatTheProtocolSays) {
  const std::string event = encode_scalar("ab", -2.5, 300, 1.0);
  EXPECT_EQ(event, "\x09\0\0\0\0\0\0\xf0\x3f"   // 1: double 1.0
                   "\x10\xac\x02"               // 2: varint 300
                   "\x2a\x0b\x0a\x09"           // 5: summary, 1: value
                   "\x0a\x02" "ab"              // 1: tag
                   "\x15\x00\x00\x20\xc0"s);    // 2: float -2.5
}

TEST(EventEncoding, InvalidTextIsReplaced) {
  EXPECT_EQ(valid_utf8("plain"), "plain");
  EXPECT_EQ(valid_utf8("größe \xe2\x82\xac \xf0\x9f\x98\x80"), "größe \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(valid_utf8("a\xff" "b"), "a\xEF\xBF\xBD" "b");
  EXPECT_EQ(valid_utf8("\xc3"), "\xEF\xBF\xBD");                  // cut off
  EXPECT_EQ(valid_utf8("\xc0\xaf"), "\xEF\xBF\xBD\xEF\xBF\xBD");  // overlong
  for (const char* bad : {"\xe0\x80\x80", "\xed\xa0\x80"}) {      // overlong, surrogate
    EXPECT_EQ(valid_utf8(bad), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  }
  EXPECT_EQ(valid_utf8("\xf4\x90\x80\x80").size(), 12u);          // beyond U+10FFFF
}

TEST(EventReader, UnderstandsTensorBoardsTensorForm) {
  TemporaryDirectory folder;
  write_contents(folder / "events.out.tfevents.1599759586.host", kGoldenVersion + kGoldenScalar);
  const auto log = read_scalars(folder.path());
  EXPECT_TRUE(log.warnings.empty());
  ASSERT_EQ(log.events.size(), 1u);
  EXPECT_EQ(log.events[0].tag, "accuracy");
  EXPECT_EQ(log.events[0].step, 77);
  EXPECT_EQ(log.events[0].value, 0.99f);
  EXPECT_NEAR(log.events[0].wall_time, 1599759606.8597, 1e-4);
}

TEST(EventFile, ReadsBackWhatWasWritten) {
  TemporaryDirectory folder;
  EventFileWriter writer(folder.path());
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(writer.scalar("b/loss", 0.1, 0, 1234567890.125));
  EXPECT_TRUE(writer.scalar("a/loss", 1e300, 1, 2.0));
  EXPECT_TRUE(writer.text("a/loss/text", "no scalar", 1));
  EXPECT_TRUE(writer.scalar("b/loss", std::nan(""), std::int64_t{1} << 60, 3.0));
  EXPECT_TRUE(writer.scalar("b/loss", -7, 5, std::nan("")));  // a time that is no number becomes now
  EXPECT_EQ(writer.path().string(), one_file(folder.path()));
  const auto log = read_scalars(folder.path());
  EXPECT_TRUE(log.warnings.empty());
  ASSERT_EQ(log.events.size(), 4u);
  EXPECT_EQ(log.events[0].tag, "b/loss");  // first of the file, and steps ascend
  EXPECT_EQ(log.events[0].value, 0.1f);
  EXPECT_EQ(log.events[0].wall_time, 1234567890.125);
  EXPECT_EQ(log.events[1].step, 5);
  EXPECT_GT(log.events[1].wall_time, 1.7e9);
  EXPECT_EQ(log.events[2].step, std::int64_t{1} << 60);
  EXPECT_TRUE(std::isnan(log.events[2].value));
  EXPECT_EQ(log.events[3].tag, "a/loss");
  EXPECT_EQ(log.events[3].value, kInfinity);
}

TEST(EventFile, ANewFileSortsAfterThoseThere) {
  TemporaryDirectory folder;
  write_contents(folder / "events.out.tfevents.4102444800.zzz.99.0", "");  // a host whose clock is decades ahead
  std::vector<std::string> names;
  for (int i = 0; i < 3; ++i) {
    EventFileWriter writer(folder.path());
    names.push_back(writer.path().filename().string());
  }
  EXPECT_LT("events.out.tfevents.4102444800.zzz.99.0", names[0]);
  EXPECT_LT(names[0], names[1]);
  EXPECT_LT(names[1], names[2]);
}

TEST(EventFile, ADirectoryThatCannotBeWrittenIsNamed) {
  TemporaryDirectory folder;
  try {
    EventFileWriter writer(folder / "absent");
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::environment);
    EXPECT_EQ(failure.error().what, "cannot write metrics into " + (folder / "absent").string() + ": No such file or directory");
  }
}

TEST(EventFile, AMovedWriterGoesOn) {
  TemporaryDirectory folder;
  EventFileWriter first(folder.path());
  EXPECT_TRUE(first.scalar("x", 1, 1));
  EventFileWriter second(std::move(first));
  EXPECT_TRUE(second.scalar("x", 2, 2));
  EXPECT_EQ(steps_of(read_scalars(folder.path()), "x"), (std::vector<std::int64_t>{1, 2}));
}

// Half a record in the middle would end the file for every reader.
TEST(EventFile, AFullDiskLosesRecordsButNeverTearsTheFile) {
  TemporaryDirectory folder;
  EXPECT_EQ(0, in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    EventFileWriter writer(folder.path());
    rlimit limit{};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    const rlim_t old = std::exchange(limit.rlim_cur, 500);
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int step = 0;
    while (writer.scalar("x", 1, step)) ++step;
    const auto full = fs::file_size(writer.path());
    if (step == 0 || full >= 500 || writer.scalar("x", 1, step) || fs::file_size(writer.path()) != full) return 1;
    limit.rlim_cur = old;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    return writer.scalar("x", 2, 999) ? 0 : 2;
  }));
  const auto log = read_scalars(folder.path());
  EXPECT_TRUE(log.warnings.empty()) << log.warnings[0];
  ASSERT_GT(log.events.size(), 2u);
  EXPECT_EQ(log.events.back().step, 999);
  EXPECT_EQ(log.events[log.events.size() - 2].step, static_cast<std::int64_t>(log.events.size()) - 2);
}

// A file of three scalars; ends[i] is where record i ends.
struct Sample {
  TemporaryDirectory folder;
  std::string bytes;
  std::vector<std::size_t> ends;

  Sample() {
    bytes = frame_record(encode_file_version(1.0));
    ends.push_back(bytes.size());
    for (int i = 1; i <= 3; ++i) {
      bytes += frame_record(encode_scalar("tag" + std::string(i, 'x'), i, i * 200, 1.5));
      ends.push_back(bytes.size());
    }
  }
  ScalarLog read(std::string_view file) const {
    write_contents(folder / "x.tfevents.1", file);
    return read_scalars(folder.path());
  }
};

TEST(EventReader, TruncatedAnywhereGivesTheCompleteRecords) {
  const Sample sample;
  for (std::size_t length = 0; length <= sample.bytes.size(); ++length) {
    std::size_t complete = 0;
    for (std::size_t i = 1; i < sample.ends.size(); ++i) complete += length >= sample.ends[i] ? 1 : 0;
    const auto log = sample.read(sample.bytes.substr(0, length));
    EXPECT_EQ(log.events.size(), complete) << length;
    EXPECT_TRUE(log.warnings.empty()) << length;
  }
}

TEST(EventReader, EveryChangedBitIsNoticed) {
  const Sample sample;
  const auto sound = sample.read(sample.bytes);
  for (std::size_t at = 0; at < sample.bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bytes = sample.bytes;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
      const auto log = sample.read(bytes);
      std::size_t before = 0;  // scalars of the records before the damage
      for (std::size_t i = 1; i < sample.ends.size(); ++i) before += at >= sample.ends[i] ? 1 : 0;
      ASSERT_EQ(log.events.size(), before) << at;
      ASSERT_EQ(log.warnings.size(), 1u) << at;
    }
  }
  std::string bytes = sample.bytes;
  bytes[sample.ends[1] + 20] ^= 1;
  EXPECT_EQ(sample.read(bytes).warnings[0], (sample.folder / "x.tfevents.1").string() + ": a record's checksum is wrong (before byte " +
                                                std::to_string(sample.ends[2]) + "); what follows is left out");
}

// Soundly framed, but anything inside: no crash, no endless loop, and what precedes is kept.
TEST(EventReader, AnyMessageIsSafe) {
  const Sample sample;
  std::uint64_t state = 42;
  const auto random = [&] { return state = state * 6364136223846793005u + 1442695040888963407u, state >> 33; };
  const std::string sound = encode_scalar("tag", 1, 77, 2.0);
  const std::string tensor = kGoldenScalar.substr(12, kGoldenScalar.size() - 16);
  for (int round = 0; round < 4000; ++round) {
    std::string event = round % 2 == 0 ? sound : tensor;
    for (std::uint64_t i = 0; i <= random() % 3; ++i) event[random() % event.size()] = static_cast<char>(random());
    if (round % 5 == 0) event.resize(random() % event.size());
    const auto log = sample.read(sample.bytes + frame_record(event));
    ASSERT_GE(log.events.size(), 3u);
    ASSERT_LE(log.warnings.size(), 1u);
  }
}

TEST(EventReader, ALengthBeyondTheFileIsATornTailAndAHugeOneIsDamage) {
  const Sample sample;
  for (const std::uint64_t length : {std::uint64_t{1} << 29, ~std::uint64_t{0}, ~std::uint64_t{0} - 3, std::uint64_t{1} << 62}) {
    std::string header(8, '\0');
    std::memcpy(header.data(), &length, 8);
    const std::uint32_t checksum = masked_crc32c(header);
    header.append(reinterpret_cast<const char*>(&checksum), 4);
    const auto log = sample.read(sample.bytes + header + "abcdefgh");
    EXPECT_EQ(log.events.size(), 3u);
    EXPECT_EQ(log.warnings.size(), length == std::uint64_t{1} << 29 ? 0u : 1u);
  }
}

TEST(EventReader, AResumedAttemptSupersedes) {
  TemporaryDirectory folder;
  const auto write = [&](std::initializer_list<int> steps, double value) {
    EventFileWriter writer(folder.path());
    for (const int step : steps) writer.scalar("loss", value, step, 1.0);
    if (value == 1) writer.scalar("only/first", 9, 1000, 1.0);
  };
  write({10, 20, 30, 40}, 1);
  write({30, 40, 50}, 2);  // resumed from a checkpoint of step 29
  write({60}, 3);
  EXPECT_EQ(as_text(read_scalars(folder.path())),
            "loss@10=1.000000 loss@20=1.000000 loss@30=2.000000 loss@40=2.000000 loss@50=2.000000 loss@60=3.000000 "
            "only/first@1000=9.000000 ");
  write({0}, 4);
  EXPECT_EQ(as_text(read_scalars(folder.path())), "loss@0=4.000000 only/first@1000=9.000000 ");
}

TEST(EventReader, WithinAFileNothingIsSuperseded) {
  TemporaryDirectory folder;
  EventFileWriter writer(folder.path());
  for (const int step : {3, 1, 2, 1}) writer.scalar("x", 10 * step, step);
  EXPECT_EQ(steps_of(read_scalars(folder.path()), "x"), (std::vector<std::int64_t>{1, 1, 2, 3}));
}

TEST(EventReader, LooksAtEventFilesOfThisDirectoryOnly) {
  TemporaryDirectory folder;
  fs::create_directories(folder / "sub.tfevents");
  write_contents(folder / "sub.tfevents/a.tfevents", kGoldenVersion + kGoldenScalar);
  write_contents(folder / "70_driver_log.txt", "text");
  write_contents(folder / "empty.tfevents", "");
  const auto log = read_scalars(folder.path());
  EXPECT_TRUE(log.events.empty());
  EXPECT_TRUE(log.warnings.empty());
  EXPECT_TRUE(read_scalars(folder / "absent").events.empty());
}

}  // namespace
}  // namespace lockstep
