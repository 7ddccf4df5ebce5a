// lockstep metrics
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "lockstep/core/metric_values.h"
#include "lockstep/core/nearest_names.h"
#include "lockstep/core/option_checks.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/launchers/commands/command_line.h"
#include "lockstep/launchers/table.h"

namespace lockstep {
namespace {

struct MetricsOptions {
  bool csv = false;
  bool json = false;
  bool values = false;
  bool follow = false;
  std::optional<int> points;
};

constexpr CommandText kText{
    "lockstep metrics RUN [NAME...] [options]",
    "Shows the metrics a run has logged, from the TensorBoard event files in its logs and below. Without a NAME one "
    "line per metric;\nwith names their points, rows, texts or charts.",
    "  lockstep metrics latest\n"
    "  lockstep metrics latest train/loss eval/accuracy\n"
    "  lockstep metrics latest train/loss --csv > loss.csv\n"
    "  lockstep metrics latest train/loss --json --points 500\n"
    "  lockstep metrics latest train/loss --follow"};

// A terminal shows no more of them in a sensible time.
constexpr int kMostPointsForPeople = 1000;

OptionTable<MetricsOptions> metrics_options() {
  OptionTable<MetricsOptions> table;
  table.add("csv", &MetricsOptions::csv, "", "points as name,step,wall_time,value");
  table.add("json", &MetricsOptions::json, "", "points as a JSON object: name -> [{step, wall_time, value}]");
  table.add("values", &MetricsOptions::values, "",
            "all metrics as a JSON object: name -> value, list of values, or lists by column of a table");
  table.add(
      "points", &MetricsOptions::points, "N",
      "at most N points of each metric, those that draw the same line (default: all; for a terminal 1000)",
      [](const std::optional<int>& n) { return n && *n < 4 ? std::string("must be at least 4") : std::string(); });
  table.add("follow", &MetricsOptions::follow, "", "then print each new point, until the run has ended");
  return table;
}

std::vector<Metric> named(const MetricValues& values, const Arguments& names, bool may_come_later) {
  std::vector<Metric> chosen;
  for (const std::string& name : names) {
    if (const Metric* metric = values.find(name)) {
      chosen.push_back(*metric);
    } else if (!may_come_later) {
      std::vector<std::string> known;
      for (const Metric& each : values.metrics) known.push_back(each.name);
      fail(ErrorKind::usage, "the run has no metric \"" + name + "\"" + (known.empty() ? "" : suggestion(name, known)));
    }
  }
  return chosen;
}

// Event files hold float32: the shortest text of that is what was logged; seven digits are enough to read it.
std::string number(double value, int digits = 7) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

// 123456 of them: "123456 rows", one: "1 row".
std::string counted(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string described(const Metric& metric) {
  if (metric.table) {
    std::string columns;
    for (const auto& [name, cells] : metric.table->columns) columns += (columns.empty() ? " of " : ", ") + name;
    return counted(metric.table->rows(), "row") + columns;
  }
  if (!metric.chart.is_null()) return metric.chart.value("schema_type", "chart");
  if (!metric.images.empty()) return counted(metric.images.size(), "image");
  std::string text = metric.texts.back().value;
  if (text_width(text) > 60 || text.find('\n') != std::string::npos)
    return counted(metric.texts.size(), "text") + ", of " + std::to_string(text.size()) + " bytes the last";
  return text;
}

void print_overview(const std::vector<Metric>& metrics) {
  Table numbers({{"METRIC"},
                 {"POINTS", true},
                 {"FIRST", true},
                 {"LAST", true},
                 {"MIN", true},
                 {"MAX", true},
                 {"LAST STEP", true}});
  Table others({{"METRIC"}, {"CONTENT"}});
  bool has_numbers = false, has_others = false;
  for (const Metric& metric : metrics) {
    if (metric.points.empty()) {
      others.add({metric.name, described(metric)});
      has_others = true;
      continue;
    }
    double least = NAN, most = NAN;  // fmin and fmax pass NaN over
    for (const EventPoint& point : metric.points) {
      least = std::fmin(least, point.value);
      most = std::fmax(most, point.value);
    }
    numbers.add({metric.name, std::to_string(metric.points.size()), number(metric.points.front().value),
                 number(metric.points.back().value), number(least), number(most),
                 std::to_string(metric.points.back().step)});
    has_numbers = true;
  }
  const TerminalStyle style = TerminalStyle::of(STDOUT_FILENO);
  if (has_numbers) numbers.print(std::cout, style);
  if (has_numbers && has_others) std::cout << '\n';
  if (has_others) others.print(std::cout, style);
}

std::string cell_text(const MetricCell& cell) {
  const auto* value = std::get_if<double>(&cell);
  return value ? number(*value) : std::get<std::string>(cell);
}

void print_rows(const MetricTable& rows) {
  std::vector<Column> columns;
  for (const auto& [name, cells] : rows.columns)
    columns.push_back({name, !cells.empty() && std::holds_alternative<double>(cells.front())});
  Table table(std::move(columns));
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    std::vector<Cell> row;
    for (const auto& [name, cells] : rows.columns) row.emplace_back(cell_text(cells[i]));
    table.add(std::move(row));
  }
  table.print(std::cout, TerminalStyle::of(STDOUT_FILENO));
}

void print_points(const std::vector<Metric>& metrics) {
  Table table({{"METRIC"}, {"STEP", true}, {"VALUE", true}, {"TIME"}});
  bool has_points = false;
  for (const Metric& metric : metrics)
    for (const EventPoint& point : metric.points) {
      table.add({metric.name, std::to_string(point.step), number(point.value), format_time(point.wall_time)});
      has_points = true;
    }
  if (has_points) table.print(std::cout, TerminalStyle::of(STDOUT_FILENO));
  for (const Metric& metric : metrics) {
    if (metric.table) print_rows(*metric.table);
    if (!metric.chart.is_null()) print_json(metric.chart);
    for (const EventText& text : metric.texts)
      std::cout << metric.name << " (step " << text.step << "): " << text.value << '\n';
    for (const EventImage& image : metric.images)
      std::cout << metric.name << " (step " << image.step << "): image of " << image.width << "x" << image.height
                << ", " << format_bytes(image.bytes) << "; lockstep tensorboard shows it\n";
  }
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

void print_csv_point(const std::string& name, const EventPoint& point) {
  std::cout << csv_field(name) << ',' << point.step << ',' << number(point.wall_time, 17) << ','
            << number(point.value, 9) << '\n';
}

void print_csv(const std::vector<Metric>& metrics) {
  std::cout << "name,step,wall_time,value\n";
  for (const Metric& metric : metrics)
    for (const EventPoint& point : metric.points) print_csv_point(metric.name, point);
}

void print_as_json(const std::vector<Metric>& metrics) {
  auto object = nlohmann::ordered_json::object();
  for (const Metric& metric : metrics) {
    if (metric.points.empty()) continue;
    auto& points = object[metric.name] = nlohmann::ordered_json::array();
    for (const EventPoint& point : metric.points)
      points.push_back({{"step", point.step}, {"wall_time", point.wall_time}, {"value", as_logged(point.value)}});
  }
  print_json(object);
}

// Prints what a reader finds new, metric by metric.
class Follower {
 public:
  Follower(EventReader& reader, Arguments names, bool csv) : reader_(reader), names_(std::move(names)), csv_(csv) {}

  // What is known already has been shown.
  void skip() {
    for (const EventTag* tag : reader_.tags())
      for (const EventPoint& point : tag->numbers) keep_latest(shown_[tag->name], point.wall_time);
  }

  // By time and not by step: a resumed attempt goes back, and its points are new all the same.
  void print_new() {
    for (const EventTag* tag : reader_.tags()) {
      if (!names_.empty() && std::find(names_.begin(), names_.end(), tag->name) == names_.end()) continue;
      double& shown = shown_[tag->name];
      const double before = shown;
      for (const EventPoint& point : tag->numbers) {
        if (point.wall_time <= before) continue;
        print(tag->name, point);
        keep_latest(shown, point.wall_time);
      }
    }
    std::cout.flush();
  }

 private:
  static void keep_latest(double& latest, double time) { latest = std::max(latest, time); }

  void print(const std::string& name, const EventPoint& point) const {
    if (csv_) return print_csv_point(name, point);
    std::cout << printable(name) << "  step " << point.step << "  " << number(point.value) << '\n';
  }

  EventReader& reader_;
  Arguments names_;
  bool csv_;
  std::map<std::string, double> shown_;  // wall time of the latest point that was printed
};

bool is_over(const RunDirectory& run) {
  const RunStatus status = run.summary().status;
  return is_terminal(status) || status == RunStatus::NotResponding;
}

void follow(const RunDirectory& run, EventReader& reader, const Arguments& names, bool csv) {
  Follower follower(reader, names, csv);
  follower.skip();
  for (bool over = false; !over && std::cout;) {
    over = is_over(run);  // before reading: what comes at the very end is read still
    if (!over) ::usleep(300'000);
    if (reader.update()) follower.print_new();
  }
}

}  // namespace

int metrics_command(const Arguments& arguments) {
  MetricsOptions options;
  const auto table = metrics_options();
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 1, arguments.size())) return 0;
  if (options.csv + options.json + options.values > 1)
    fail(ErrorKind::usage, "--csv, --json and --values exclude each other");
  if (options.follow && (options.json || options.values))
    fail(ErrorKind::usage, "--follow prints lines, and --json or --values one object at the end", "use --csv");
  const RunDirectory run = run_by_reference(words.front());
  const Arguments names(words.begin() + 1, words.end());
  EventReader reader(run.path() / contract::kLogs);
  reader.update();
  const MetricValues all = metric_values(reader);
  for (const std::string& warning : all.warnings) std::cerr << "warning: " << warning << '\n';
  std::vector<Metric> metrics = names.empty() ? all.metrics : named(all, names, options.follow);
  const bool for_people = !options.csv && !options.json && ::isatty(STDOUT_FILENO) != 0;
  const bool shows_points = options.csv || options.json || !names.empty() || options.follow;
  if (shows_points && (options.points || for_people)) {
    const auto most = static_cast<std::size_t>(options.points.value_or(kMostPointsForPeople));
    for (Metric& metric : metrics) {
      if (metric.points.size() > most && !options.points)
        std::cerr << metric.name << ": " << most << " of " << metric.points.size() << " points; --csv gives all\n";
      metric.points = thinned(metric.points, most);
    }
  }
  if (options.values) {
    auto object = nlohmann::ordered_json::object();
    for (const Metric& metric : metrics) object[metric.name] = to_json(metric);
    print_json(object);
  } else if (options.json) {
    print_as_json(metrics);
  } else if (options.csv) {
    print_csv(metrics);
  } else if (metrics.empty() && !options.follow) {
    std::cerr << "no metrics\n";
  } else if (!names.empty() || options.follow) {
    print_points(metrics);
  } else {
    print_overview(metrics);
  }
  std::cout.flush();
  if (options.follow) follow(run, reader, names, options.csv);
  return 0;
}

}  // namespace lockstep
