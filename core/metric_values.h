// What a run logged, by metric: numbers, texts, rows, pictures and charts.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lockstep/core/event_reader.h"
#include "lockstep/core/run.h"

namespace lockstep {

// Columns by name, in order, all of one length. A cell is a number or a text.
struct MetricTable {
  std::vector<std::pair<std::string, std::vector<MetricCell>>> columns = {};
  std::size_t rows() const { return columns.empty() ? 0 : columns.front().second.size(); }
};

// values[i][j]: how many of class i were taken for class j. labels: names of the classes, as many.
struct ConfusionMatrix {
  std::vector<std::string> labels;
  std::vector<std::vector<double>> values;
};

struct Metric {
  std::string name;
  std::vector<EventPoint> points = {};    // of log and log_list, ascending by step
  std::vector<EventText> texts = {};      // of log_text
  std::optional<MetricTable> table = {};  // of log_row and log_table: all rows
  std::vector<EventImage> images = {};
  nlohmann::ordered_json chart = {};  // of log_confusion_matrix and its like, in Azure ML's schema; null: none
};

struct MetricValues {
  std::vector<Metric> metrics = {};        // in order of first appearance
  std::vector<std::string> warnings = {};  // of files that are damaged

  const Metric* find(std::string_view name) const;
};

// All below a logs directory. What tables and charts left for TensorBoard to show ("name/column") is not repeated.
MetricValues metric_values(const EventReader& reader);
MetricValues read_metrics(const std::filesystem::path& logs_directory);

// Azure ML's form: a number or text that was logged once, a list of them, {column: [values]} of rows, the chart's JSON,
// [{"step", "width", "height", "bytes"}] of pictures. NaN and infinities are the words "NaN", "Infinity", "-Infinity".
nlohmann::ordered_json to_json(const Metric& metric);
nlohmann::ordered_json to_json(const MetricValues& values);  // {name: value}

// At most `count` points that draw the same line: of each stretch the lowest and the highest, the first and the last
// of all. count: at least 4.
std::vector<EventPoint> thinned(const std::vector<EventPoint>& points, std::size_t count);

// The number whose shortest text is that of the float32 that was kept: 1.27 for 1.2699999809265137. Numbers that no
// float32 holds stay as they are.
double as_logged(double value);

}  // namespace lockstep
