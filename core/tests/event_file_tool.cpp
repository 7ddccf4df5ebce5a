// Lets other programs check event files against ours: writes a known file, or prints what our reader finds.
//   event_file_tool write DIRECTORY    writes scalars and texts; prints each as a line of JSON
//   event_file_tool read DIRECTORY     prints each scalar as a line of JSON, warnings on stderr
#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "lockstep/core/event_file.h"

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

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc == 3 ? argv[1] : "";
  if (mode == "write") return write_sample(argv[2]);
  if (mode == "read") return read_all(argv[2]);
  std::fprintf(stderr, "usage: event_file_tool write|read DIRECTORY\n");
  return 2;
}
