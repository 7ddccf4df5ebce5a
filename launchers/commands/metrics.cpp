// lockstep metrics
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "lockstep/core/event_file.h"
#include "lockstep/core/nearest_names.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/launchers/commands/command_line.h"
#include "lockstep/launchers/table.h"

namespace lockstep {
namespace {

struct MetricsOptions {
  bool csv = false;
  bool json = false;
};

constexpr CommandText kText{"lockstep metrics RUN [NAME...] [options]",
                            "Shows the metrics a run has logged, from its TensorBoard event files. Without a NAME one "
                            "line per metric; with names\n"
                            "their points.",
                            "  lockstep metrics latest\n"
                            "  lockstep metrics latest train/loss eval/accuracy\n"
                            "  lockstep metrics latest train/loss --csv > loss.csv"};

OptionTable<MetricsOptions> metrics_options() {
  OptionTable<MetricsOptions> table;
  table.add("csv", &MetricsOptions::csv, "", "points as name,step,wall_time,value");
  table.add("json", &MetricsOptions::json, "", "points as a JSON object: name -> [{step, wall_time, value}]");
  return table;
}

struct Metric {
  std::string name;
  std::vector<ScalarEvent> points;  // ascending by step
};

std::vector<Metric> read_metrics(const RunDirectory& run) {
  const ScalarLog log = read_scalars(run.path() / contract::kLogs);
  for (const std::string& warning : log.warnings) std::cerr << "warning: " << warning << '\n';
  std::vector<Metric> metrics;
  for (const ScalarEvent& event : log.events) {
    if (metrics.empty() || metrics.back().name != event.tag) metrics.push_back({event.tag, {}});
    metrics.back().points.push_back(event);
  }
  return metrics;
}

std::vector<Metric> named(const std::vector<Metric>& metrics, const Arguments& names) {
  std::vector<Metric> chosen;
  for (const std::string& name : names) {
    const auto found = std::find_if(metrics.begin(), metrics.end(), [&](const Metric& m) { return m.name == name; });
    if (found == metrics.end()) {
      std::vector<std::string> known;
      for (const Metric& metric : metrics) known.push_back(metric.name);
      fail(ErrorKind::usage, "the run has no metric \"" + name + "\"" + (known.empty() ? "" : suggestion(name, known)));
    }
    chosen.push_back(*found);
  }
  return chosen;
}

// Event files hold float32: nine digits give the value back, seven are enough to read it.
std::string number(double value, int digits = 7) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

void print_overview(const std::vector<Metric>& metrics) {
  Table table({{"METRIC"},
               {"POINTS", true},
               {"FIRST", true},
               {"LAST", true},
               {"MIN", true},
               {"MAX", true},
               {"LAST STEP", true}});
  for (const Metric& metric : metrics) {
    double least = NAN, most = NAN;  // fmin and fmax pass NaN over
    for (const ScalarEvent& point : metric.points) {
      least = std::fmin(least, point.value);
      most = std::fmax(most, point.value);
    }
    table.add({metric.name, std::to_string(metric.points.size()), number(metric.points.front().value),
               number(metric.points.back().value), number(least), number(most),
               std::to_string(metric.points.back().step)});
  }
  table.print(std::cout, TerminalStyle::of(STDOUT_FILENO));
}

void print_points(const std::vector<Metric>& metrics) {
  Table table({{"METRIC"}, {"STEP", true}, {"VALUE", true}, {"TIME"}});
  for (const Metric& metric : metrics)
    for (const ScalarEvent& point : metric.points)
      table.add({metric.name, std::to_string(point.step), number(point.value), format_time(point.wall_time)});
  table.print(std::cout, TerminalStyle::of(STDOUT_FILENO));
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

void print_csv(const std::vector<Metric>& metrics) {
  std::cout << "name,step,wall_time,value\n";
  for (const Metric& metric : metrics)
    for (const ScalarEvent& point : metric.points)
      std::cout << csv_field(metric.name) << ',' << point.step << ',' << number(point.wall_time, 17) << ','
                << number(point.value, 9) << '\n';
}

void print_as_json(const std::vector<Metric>& metrics) {
  auto object = nlohmann::ordered_json::object();
  for (const Metric& metric : metrics) {
    auto& points = object[metric.name] = nlohmann::ordered_json::array();
    for (const ScalarEvent& point : metric.points)
      points.push_back({{"step", point.step}, {"wall_time", point.wall_time}, {"value", point.value}});
  }
  print_json(object);
}

}  // namespace

int metrics_command(const Arguments& arguments) {
  MetricsOptions options;
  const auto table = metrics_options();
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 1, arguments.size())) return 0;
  if (options.csv && options.json) fail(ErrorKind::usage, "--csv and --json exclude each other");
  std::vector<Metric> metrics = read_metrics(run_by_reference(words.front()));
  const bool points = words.size() > 1;
  if (points) metrics = named(metrics, Arguments(words.begin() + 1, words.end()));
  if (options.json)
    print_as_json(metrics);
  else if (options.csv)
    print_csv(metrics);
  else if (metrics.empty())
    std::cerr << "no metrics\n";
  else if (points)
    print_points(metrics);
  else
    print_overview(metrics);
  return 0;
}

}  // namespace lockstep
