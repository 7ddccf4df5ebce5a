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
#include "lockstep/core/tests/golden_events.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

std::string one_file(const fs::path& directory) { return (directory / names_in(directory).at(0)).string(); }

TEST(Crc32c, KnownValues) {
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(masked_crc32c("123456789"), 0xC78AB0E5u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720, B.4
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
  EXPECT_EQ(event,
            "\x09\0\0\0\0\0\0\xf0\x3f"  // 1: double 1.0
            "\x10\xac\x02"              // 2: varint 300
            "\x2a\x0b\x0a\x09"          // 5: summary, 1: value
            "\x0a\x02"
            "ab"                       // 1: tag
            "\x15\x00\x00\x20\xc0"s);  // 2: float -2.5
}

TEST(EventEncoding, InvalidTextIsReplaced) {
  EXPECT_EQ(valid_utf8("plain"), "plain");
  EXPECT_EQ(valid_utf8("größe \xe2\x82\xac \xf0\x9f\x98\x80"), "größe \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(valid_utf8("a\xff"
                       "b"),
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(valid_utf8("\xc3"), "\xEF\xBF\xBD");                  // cut off
  EXPECT_EQ(valid_utf8("\xc0\xaf"), "\xEF\xBF\xBD\xEF\xBF\xBD");  // overlong
  for (const char* bad : {"\xe0\x80\x80", "\xed\xa0\x80"}) {      // overlong, surrogate
    EXPECT_EQ(valid_utf8(bad), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  }
  EXPECT_EQ(valid_utf8("\xf4\x90\x80\x80").size(), 12u);  // beyond U+10FFFF
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
    EXPECT_EQ(failure.error().what,
              "cannot write metrics into " + (folder / "absent").string() + ": No such file or directory");
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
              if (step == 0 || full >= 500 || writer.scalar("x", 1, step) || fs::file_size(writer.path()) != full)
                return 1;
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

}  // namespace
}  // namespace lockstep
