// lockstep compare
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "lockstep/core/metric_values.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/launchers/commands/command_line.h"
#include "lockstep/launchers/run_text.h"
#include "lockstep/launchers/table.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

struct CompareOptions {
  std::vector<std::string> metric;
  bool all = false;
  bool json = false;
};

constexpr CommandText kText{
    "lockstep compare RUN RUN... [options]",
    "Shows runs side by side: what differs between them in parameters, code, environment and tags, and their metrics.",
    "  lockstep compare latest cifar_1700000000_ab12cd34\n"
    "  lockstep compare ab12 cd34 ef56 --metric eval/accuracy"};

// Name -> a value of each run; "" where it has none.
class Comparison {
 public:
  explicit Comparison(std::size_t runs) : runs_(runs) {}

  void set(const std::string& name, std::size_t run, const std::string& value) {
    auto row = std::find_if(rows_.begin(), rows_.end(), [&](const Row& each) { return each.name == name; });
    if (row == rows_.end()) row = rows_.insert(row, {name, std::vector<std::string>(runs_)});
    row->values[run] = value;
  }

  // Every leaf of `json` as prefix.key; a list of pairs by its keys, any other list as text.
  void set_all(const std::string& prefix, std::size_t run, const Json& json) {
    const auto is_pair = [](const Json& one) { return one.is_array() && one.size() == 2 && one[0].is_string(); };
    if (json.is_object()) {
      for (const auto& [key, value] : json.items()) set_all(prefix.empty() ? key : prefix + "." + key, run, value);
    } else if (json.is_array() && !json.empty() && std::all_of(json.begin(), json.end(), is_pair)) {
      for (const Json& one : json) set_all(prefix + "." + one[0].get<std::string>(), run, one[1]);
    } else if (!json.is_null() && !(json.is_array() && json.empty())) {
      set(prefix, run, json.is_string() ? json.get<std::string>() : json.dump());
    }
  }

  struct Row {
    std::string name;
    std::vector<std::string> values;
    bool equal() const {
      return std::all_of(values.begin(), values.end(), [&](const std::string& v) { return v == values.front(); });
    }
  };

  // Those that differ first.
  std::vector<Row> rows() const {
    std::vector<Row> sorted = rows_;
    std::stable_partition(sorted.begin(), sorted.end(), [](const Row& row) { return !row.equal(); });
    return sorted;
  }

 private:
  std::size_t runs_;
  std::vector<Row> rows_;
};

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

// What was asked for and where it came from. Names that every run has to itself are left out.
void add_record(Comparison& facts, std::size_t run, const RunDirectory& directory) {
  const Json record = directory.record();
  Json estimator = record.value("estimator", Json::object());
  for (const char* key : {"experiment", "tags"}) estimator.erase(key);
  facts.set_all("", run, estimator);
  if (const auto git = record.find("git"); git != record.end()) facts.set_all("git", run, *git);
  for (const auto& [section, key] : {std::pair{"snapshot", "digest"}, {"snapshot", "files"}})
    if (record.contains(section) && record[section].contains(key))
      facts.set_all(std::string(section) + "." + key, run, record[section][key]);
  for (const char* key : {"input_datasets", "environment", "lockstep_version", "host", "user"})
    if (record.contains(key)) facts.set_all(key, run, record[key]);
  std::error_code ignored;
  if (const auto tags = directory.path() / "tags.json"; std::filesystem::exists(tags, ignored))
    facts.set_all("tags", run, Json::parse(read_file(tags, 16 << 20), nullptr, false));
}

void add_end(Comparison& facts, std::size_t run, const RunSummary& summary) {
  facts.set("status", run, std::string(status_name(summary.status)));
  facts.set("ranks", run, ranks_text(summary));
  facts.set("duration", run, duration_text(summary, unix_time()));
  facts.set("command", run, summary.command);
}

void add_metrics(Comparison& metrics, std::size_t run, const RunDirectory& directory, const CompareOptions& options) {
  for (const Metric& metric : read_metrics(directory.path() / contract::kLogs).metrics) {
    const auto& wanted = options.metric;
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), metric.name) == wanted.end()) continue;
    if (metric.points.empty()) {
      if (metric.texts.size() == 1) metrics.set(metric.name, run, metric.texts.front().value);
      continue;
    }
    double least = NAN, most = NAN;  // fmin and fmax pass NaN over
    for (const EventPoint& point : metric.points) {
      least = std::fmin(least, point.value);
      most = std::fmax(most, point.value);
    }
    metrics.set(metric.name, run, number(metric.points.back().value));
    if (metric.points.size() == 1) continue;
    metrics.set(metric.name + " (lowest)", run, number(least));
    metrics.set(metric.name + " (highest)", run, number(most));
  }
}

void print(const std::vector<RunDirectory>& runs, const std::vector<Comparison::Row>& facts,
           const std::vector<Comparison::Row>& metrics, bool all) {
  std::vector<Column> columns{{""}};
  for (const RunDirectory& run : runs) columns.push_back({run.id()});
  Table table(columns);
  std::size_t equal = 0;
  const auto add = [&](const Comparison::Row& row) {
    std::vector<Cell> cells{row.name};
    for (const std::string& value : row.values) cells.emplace_back(value.empty() ? "-" : value);
    table.add(std::move(cells));
  };
  for (const Comparison::Row& row : metrics) add(row);
  for (const Comparison::Row& row : facts) {
    if (all || !row.equal()) {
      add(row);
    } else {
      ++equal;
    }
  }
  table.print(std::cout, TerminalStyle::of(STDOUT_FILENO));
  if (equal > 0) std::cout << '\n' << equal << " more are equal; --all shows them\n";
}

Json rows_json(const std::vector<Comparison::Row>& rows) {
  Json list = Json::array();
  for (const auto& row : rows) list.push_back({{"name", row.name}, {"values", row.values}, {"equal", row.equal()}});
  return list;
}

}  // namespace

int compare_command(const Arguments& arguments) {
  CompareOptions options;
  OptionTable<CompareOptions> table;
  table.add("metric", &CompareOptions::metric, "NAME", "only this metric");
  table.add("all", &CompareOptions::all, "", "show what is equal too");
  table.add("json", &CompareOptions::json, "", "print JSON");
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 2, arguments.size())) return 0;
  std::vector<RunDirectory> runs;
  for (const std::string& word : words) runs.push_back(run_by_reference(word));
  Comparison facts(runs.size()), metrics(runs.size());
  for (std::size_t i = 0; i < runs.size(); ++i) {
    add_end(facts, i, runs[i].summary());
    add_record(facts, i, runs[i]);
    add_metrics(metrics, i, runs[i], options);
  }
  if (!options.json) {
    print(runs, facts.rows(), metrics.rows(), options.all);
    return 0;
  }
  Json ids = Json::array();
  for (const RunDirectory& run : runs) ids.push_back(run.id());
  print_json({{"runs", ids}, {"metrics", rows_json(metrics.rows())}, {"facts", rows_json(facts.rows())}});
  return 0;
}

}  // namespace lockstep
