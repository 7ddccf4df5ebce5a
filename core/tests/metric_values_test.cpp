// What is logged by a run and read back by metric.
#include "lockstep/core/metric_values.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <fstream>

#include "lockstep/core/event_encoding.h"
#include "lockstep/core/event_file.h"
#include "lockstep/core/image_size.h"
#include "lockstep/core/plot_png.h"
#include "lockstep/core/tests/golden_events.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class MetricValuesTest : public testing::Test {
 protected:
  lockstep::Run run() {
    lockstep::Run run = lockstep::Run::none();
    run.set_logs_directory(folder / "logs");
    return run;
  }
  json read() { return json::parse(to_json(read_metrics(folder / "logs")).dump()); }
  TemporaryDirectory folder;
};

std::string error_of(const std::function<void()>& act) try {
  act();
  return "no error";
} catch (const Failure& failure) {
  EXPECT_EQ(failure.error().kind, ErrorKind::usage);
  EXPECT_FALSE(failure.error().hint.empty());
  return failure.error().what;
}

TEST_F(MetricValuesTest, OneNumberIsAValueAndMoreAreAList) {
  auto log = run();
  log.log("once", 1.27);
  log.log("twice", 0.1);
  log.log("twice", 1e300);
  log.log("twice", NAN);
  const double list[] = {3, 2, 1};
  log.log_list("list", list);
  log.log_text("note", "first line\nsecond");
  EXPECT_EQ(read(), (json{{"once", 1.27},
                          {"twice", {0.1, "Infinity", "NaN"}},
                          {"list", {3.0, 2.0, 1.0}},
                          {"note", "first line\nsecond"}}));
}

TEST_F(MetricValuesTest, RowsAddUpToATable) {
  auto log = run();
  const std::pair<std::string, MetricCell> first[] = {{"fruit", "plum|ed"}, {"grams", 0.1}};
  const std::pair<std::string, MetricCell> second[] = {{"grams", 1e300}, {"colour", "green"}};
  log.log_row("harvest", first);
  log.log_row("harvest", second);
  log.log_table("harvest", {{{"grams", {5.0, NAN}}}});
  log.log_table("empty", {});
  // Cells are exact, unlike the float32 that TensorBoard draws; what it shows besides is no metric of its own.
  EXPECT_EQ(read(), (json{{"harvest",
                           {{"fruit", {"plum|ed", "", "", ""}},
                            {"grams", {0.1, 1e300, 5.0, "NaN"}},
                            {"colour", {"", "green", "", ""}}}}}));
  const auto scalars = read_scalars(folder / "logs");
  EXPECT_EQ(steps_of(scalars, "harvest/grams"), (std::vector<std::int64_t>{0, 1, 2, 3}));
}

TEST_F(MetricValuesTest, AttemptsAndSubdirectoriesAreToldApart) {
  const std::pair<std::string, MetricCell> row[] = {{"a", 1.0}};
  {
    auto log = run();
    for (int i = 0; i < 3; ++i) log.log_row("rows", row);
    log.log_text("note", "old");
  }
  {
    auto log = run();  // the next attempt begins again
    log.log_row("rows", row);
    log.log_text("note", "new");
  }
  for (const char* part : {"train", "validation/deep"}) {
    auto log = lockstep::Run::none();
    log.set_logs_directory(folder / "logs" / part);
    log.log("loss", 1, 5);
    log.log_row("rows", row);
  }
  fs::create_directory_symlink(folder / "logs", folder / "logs/around");
  EXPECT_EQ(read(), (json{{"rows", {{"a", {1.0}}}},
                          {"note", "new"},
                          {"train/loss", 1.0},
                          {"train/rows", {{"a", {1.0}}}},
                          {"validation/deep/loss", 1.0},
                          {"validation/deep/rows", {{"a", {1.0}}}}}));
}

TEST_F(MetricValuesTest, ChartsAreKeptAndDrawn) {
  auto log = run();
  const ConfusionMatrix matrix{{"cat", "dog"}, {{9, 1}, {2.5, 7}}};
  log.log_confusion_matrix("confusion", matrix);
  const nlohmann::ordered_json residuals = {{"schema_type", "residuals"}, {"data", {{"bin_edges", {1, 2}}}}};
  log.log_residuals("residuals", residuals);
  log.log_accuracy_table("accuracy", {{"schema_type", "accuracy_table"}});
  log.log_predictions("predictions", {{"schema_type", "predictions"}});
  EXPECT_EQ(read(), (json{{"confusion",
                           {{"schema_type", "confusion_matrix"},
                            {"schema_version", "v1"},
                            {"data", {{"class_labels", {"cat", "dog"}}, {"matrix", {{9.0, 1.0}, {2.5, 7.0}}}}}}},
                          {"residuals", {{"schema_type", "residuals"}, {"data", {{"bin_edges", {1, 2}}}}}},
                          {"accuracy", {{"schema_type", "accuracy_table"}}},
                          {"predictions", {{"schema_type", "predictions"}}}}));
}

TEST_F(MetricValuesTest, PicturesAreKnownByTheirSize) {
  const std::string png = encode_png(Picture(7, 3));
  write_contents(folder / "plot.png", png);
  const std::string jpeg =
      "\xFF\xD8\xFF\xE0\0\x04xx\xFF\xFF\xC4\0\x03x\xFF\xC0\0\x11\x08\x01\x02\x02\x03\x03rest"s;  // 515 x 258
  write_contents(folder / "photo.jpg", jpeg);
  write_contents(folder / "text.png", "no picture");
  auto log = run();
  log.log_image("plot", folder / "plot.png");
  log.log_image("plot", folder / "photo.jpg", 12);
  EXPECT_EQ(read(), (json{{"plot",
                           {{{"step", 0}, {"width", 7}, {"height", 3}, {"bytes", png.size()}},
                            {{"step", 12}, {"width", 515}, {"height", 258}, {"bytes", jpeg.size()}}}}}));
  EXPECT_EQ(error_of([&] { log.log_image("plot", folder / "text.png"); }),
            (folder / "text.png").string() + " is neither a PNG nor a JPEG file");
  for (std::size_t length = 0; length < png.size(); ++length) (void)image_size(png.substr(0, length));
  for (std::size_t length = 0; length < jpeg.size(); ++length) (void)image_size(jpeg.substr(0, length));
}

TEST_F(MetricValuesTest, WhatHasNoShapeIsRefused) {
  auto log = run();
  EXPECT_EQ(error_of([&] {
              log.log_table("t", {{{"a", {1.0}}, {"b", {1.0, 2.0}}}});
            }),
            "column b of the table t has 2 rows, and a has 1");
  EXPECT_EQ(error_of([&] {
              log.log_confusion_matrix("m", {{"a", "b"}, {{1, 2}}});
            }),
            "the confusion matrix m has 2 labels and 1 rows");
  EXPECT_EQ(error_of([&] {
              log.log_confusion_matrix("m", {{"a"}, {{1, 2}}});
            }),
            "the confusion matrix m has 1 labels, and row 0 has 2 values");
  EXPECT_EQ(error_of([&] { log.log_residuals("r", "text"); }), "the chart r is \"text\", expected a JSON object");
  EXPECT_FALSE(fs::exists(folder / "logs"));
}

TEST_F(MetricValuesTest, ForeignRecordsDoNoHarm) {
  fs::create_directories(folder / "logs");
  EventFileWriter writer(folder / "logs");
  for (const char* text : {"", "torn {", "[1]", "{\"columns\": 3}", "{\"columns\": {\"a\": {\"b\": [1]}}}", "{}"})
    writer.record("lockstep:odd", text, 0);
  writer.record("no prefix", "{\"columns\": {\"a\": [1]}}", 0);
  writer.scalar("fine", 1, 0);
  const json all = read();
  EXPECT_EQ(all.at("fine"), 1.0);
  EXPECT_EQ(all.at("odd"), (json{{"a", {"{\"b\":[1]}"}}}));
}

TEST_F(MetricValuesTest, FollowsFilesThatGrow) {
  fs::create_directories(folder / "logs");
  EventReader reader(folder / "logs");
  EXPECT_FALSE(reader.update());
  const fs::path first = folder / "logs/a.tfevents.1", second = folder / "logs/a.tfevents.2";
  const auto record = [](std::int64_t step) { return frame_record(encode_scalar("x", 1, step, 1.0)); };
  const auto append = [](const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::app | std::ios::binary) << bytes;
  };
  const auto steps = [&] {
    std::vector<std::int64_t> found;
    for (const EventTag* tag : reader.tags())
      for (const EventPoint& point : tag->numbers) found.push_back(point.step);
    return found;
  };
  using Steps = std::vector<std::int64_t>;
  append(first, record(1) + record(2).substr(0, 20));
  EXPECT_TRUE(reader.update());
  EXPECT_EQ(steps(), (Steps{1}));
  EXPECT_FALSE(reader.update());
  append(first, record(2).substr(20));
  EXPECT_TRUE(reader.update());
  EXPECT_EQ(steps(), (Steps{1, 2}));
  append(second, record(2) + record(3));
  EXPECT_TRUE(reader.update());
  EXPECT_EQ(steps(), (Steps{1, 2, 3}));
  append(first, record(9));  // though a later file is there: order is by name
  EXPECT_TRUE(reader.update());
  EXPECT_EQ(steps(), (Steps{1, 2, 3}));
  append(second, record(1));
  EXPECT_TRUE(reader.update());
  EXPECT_EQ(steps(), (Steps{1, 2, 3}));
  EXPECT_TRUE(reader.warnings().empty());
}

TEST(Thinned, KeepsWhatDrawsTheLine) {
  std::vector<EventPoint> points;
  for (int i = 0; i < 100'000; ++i) points.push_back({i, 0, std::sin(i * 0.001)});
  points[31'415].value = 50;
  points[77'777].value = -50;
  points[50'001].value = NAN;
  const auto thin = thinned(points, 500);
  EXPECT_LE(thin.size(), 500u);
  EXPECT_GE(thin.size(), 400u);
  EXPECT_EQ(thin.front().step, 0);
  EXPECT_EQ(thin.back().step, 99'999);
  int seen = 0;
  for (std::size_t i = 0; i < thin.size(); ++i) {
    EXPECT_TRUE(i == 0 || thin[i].step > thin[i - 1].step);
    seen += thin[i].value == 50 || thin[i].value == -50 || std::isnan(thin[i].value) ? 1 : 0;
  }
  EXPECT_EQ(seen, 3);
  EXPECT_EQ(thinned(points, 4).size(), 4u);
  EXPECT_EQ(thinned({points.begin(), points.begin() + 3}, 4).size(), 3u);
}

TEST(AsLogged, IsTheShortestTextOfAFloat) {
  EXPECT_EQ(as_logged(1.27f), 1.27);
  EXPECT_EQ(as_logged(0.1), 0.1);  // a double of its own
  EXPECT_EQ(as_logged(16777216), 16777216);
  EXPECT_TRUE(std::isnan(as_logged(NAN)));
  EXPECT_TRUE(std::isinf(as_logged(INFINITY)));
}

}  // namespace
}  // namespace lockstep
