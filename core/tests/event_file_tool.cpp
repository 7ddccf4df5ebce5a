// Lets other programs check event files against ours: writes a known file, or prints what our reader finds.
//   event_file_tool write DIRECTORY    writes scalars and texts; prints each as a line of JSON
//   event_file_tool read DIRECTORY     prints each scalar as a line of JSON, warnings on stderr
//   event_file_tool log DIRECTORY      logs all that a Run can log
//   event_file_tool values DIRECTORY   prints all metrics below, as `lockstep metrics --values` does
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "lockstep/core/event_file.h"
#include "lockstep/core/metric_values.h"
#include "lockstep/core/plot_png.h"
#include "lockstep/core/run.h"

namespace {

// JSON has no NaN and infinities: they travel as words.
nlohmann::json number(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

void print(const char* kind, const std::string& tag, std::int64_t step, double wall_time, const nlohmann::json& value) {
  const nlohmann::json line = {
      {"kind", kind}, {"tag", tag}, {"step", step}, {"wall_time", wall_time}, {"value", value}};
  std::printf("%s\n", line.dump().c_str());
}

int write_sample(const char* directory) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double values[] = {0.1, -1e-30, 1e300, -1e300, 16777217, 3e-46, std::nan(""), kInfinity, -kInfinity, 0, -0.0};
  lockstep::EventFileWriter writer(directory);
  bool good = true;
  std::int64_t step = 0;
  double wall_time = 1599759606.8597;
  for (int round = 0; round < 120; ++round) {
    for (const double value : values) {
      for (const char* tag : {"train/loss", "eval/accuracy", "größe/μ", "a tag: with, odd <signs>"}) {
        good = good && writer.scalar(tag, value, step, wall_time);
        print("scalar", tag, step, wall_time, number(value));
      }
      step = step * 5 / 4 + 1;
      wall_time += 0.0625;
    }
    if (step > (std::int64_t{1} << 52)) step = 3;
  }
  const std::string long_text(100'000, 't');
  for (const std::string& text : {std::string("# Heading\n*marked* <b>down</b>"), std::string(), long_text}) {
    good = good && writer.text("notes/config", text, ++step, wall_time);
    print("text", "notes/config", step, wall_time, text);
  }
  return good ? 0 : 1;
}

int read_all(const char* directory) {
  const auto log = lockstep::read_scalars(directory);
  for (const auto& event : log.events) print("scalar", event.tag, event.step, event.wall_time, number(event.value));
  for (const auto& warning : log.warnings) std::fprintf(stderr, "%s\n", warning.c_str());
  return 0;
}

int log_everything(const char* directory) {
  lockstep::Run run = lockstep::Run::none();
  run.set_logs_directory(directory);
  run.log("loss", 0.25);
  const double list[] = {1, 2, 3};
  run.log_list("list", list);
  const std::pair<std::string, lockstep::MetricCell> row[] = {{"fruit", "plum"}, {"grams", 41.5}};
  run.log_row("harvest", row);
  run.log_row("harvest", row);
  run.log_table("table", {{{"x", {1.0, 2.0}}, {"y", {"a", "b"}}}});
  run.log_confusion_matrix("confusion", {{"cat", "dog", "owl"}, {{90, 10, 0}, {5, 100, 2}, {1, 0, 7}}});
  run.log_residuals("residuals", {{"schema_type", "residuals"}, {"data", {1, 2}}});
  lockstep::Picture picture(31, 17);
  picture.fill(3, 4, 10, 5, 0x1F4E9C);
  std::ofstream(std::string(directory) + "/plot.png", std::ios::binary) << lockstep::encode_png(picture);
  run.log_image("plot", std::string(directory) + "/plot.png", 12);
  return 0;
}

int print_values(const char* directory) {
  const auto values = lockstep::read_metrics(directory);
  std::printf("%s\n", lockstep::to_json(values).dump().c_str());
  for (const auto& warning : values.warnings) std::fprintf(stderr, "%s\n", warning.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc == 3 ? argv[1] : "";
  if (mode == "write") return write_sample(argv[2]);
  if (mode == "read") return read_all(argv[2]);
  if (mode == "log") return log_everything(argv[2]);
  if (mode == "values") return print_values(argv[2]);
  std::fprintf(stderr, "usage: event_file_tool write|read|log|values DIRECTORY\n");
  return 2;
}
