// The reader of event files.
#include <gtest/gtest.h>

#include <cstring>

#include "lockstep/core/crc32c.h"
#include "lockstep/core/event_encoding.h"
#include "lockstep/core/event_file.h"
#include "lockstep/core/tests/golden_events.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

std::string as_text(const ScalarLog& log) {
  std::string text;
  for (const auto& e : log.events) text += e.tag + "@" + std::to_string(e.step) + "=" + std::to_string(e.value) + " ";
  return text;
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
  EXPECT_EQ(sample.read(bytes).warnings[0], (sample.folder / "x.tfevents.1").string() +
                                                ": a record's checksum is wrong (before byte " +
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
  for (const std::uint64_t length :
       {std::uint64_t{1} << 29, ~std::uint64_t{0}, ~std::uint64_t{0} - 3, std::uint64_t{1} << 62}) {
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
