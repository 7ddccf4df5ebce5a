#include "lockstep/core/metric_values.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "lockstep/core/event_encoding.h"

namespace lockstep {
namespace {

using nlohmann::ordered_json;

ordered_json number_json(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

ordered_json cell_json(const MetricCell& cell) {
  if (const auto* number = std::get_if<double>(&cell)) return number_json(*number);
  return std::get<std::string>(cell);
}

MetricCell to_cell(const ordered_json& json) {
  if (json.is_number()) return json.get<double>();
  if (json.is_boolean()) return json.get<bool>() ? 1.0 : 0.0;
  const std::string text = json.is_string() ? json.get<std::string>() : json.dump();
  if (text == "NaN") return NAN;
  if (text == "Infinity" || text == "-Infinity") return text[0] == '-' ? -INFINITY : INFINITY;
  return text;
}

// Adds rows below those that are there. Columns that only one of them has are filled with "".
void append_rows(MetricTable& table, const ordered_json& columns) {
  std::size_t rows = 0;
  for (const auto& cells : columns) rows = std::max<std::size_t>(rows, cells.is_array() ? cells.size() : 1);
  const std::size_t before = table.rows();
  for (const auto& [name, cells] : columns.items()) {
    auto at = std::find_if(table.columns.begin(), table.columns.end(), [&](const auto& c) { return c.first == name; });
    if (at == table.columns.end())
      at = table.columns.insert(at, {name, std::vector<MetricCell>(before, std::string())});
    if (cells.is_array()) {
      for (const auto& cell : cells) at->second.push_back(to_cell(cell));
    } else {
      at->second.push_back(to_cell(cells));
    }
  }
  for (auto& [name, cells] : table.columns) cells.resize(before + rows, std::string());
}

// One record that run_logging.cpp or lockstep.py wrote; anything else is left out.
void add_record(Metric& metric, const std::string& text) {
  const ordered_json record = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!record.is_object()) return;
  const auto columns = record.find("columns"), chart = record.find("chart");
  if (columns != record.end() && columns->is_object()) {
    if (!metric.table) metric.table.emplace();
    append_rows(*metric.table, *columns);
  } else if (chart != record.end()) {
    metric.chart = *chart;
  }
}

// "train/" of "train/lockstep:fruit": where the record lies; nothing when the tag names no record.
std::optional<std::string> recorded_name(const std::string& tag) {
  const std::size_t at = tag.rfind(kRecordPrefix);
  if (at == std::string::npos || (at > 0 && tag[at - 1] != '/')) return std::nullopt;
  return tag.substr(0, at) + tag.substr(at + kRecordPrefix.size());
}

}  // namespace

const Metric* MetricValues::find(std::string_view name) const {
  const auto at = std::find_if(metrics.begin(), metrics.end(), [&](const Metric& m) { return m.name == name; });
  return at == metrics.end() ? nullptr : &*at;
}

MetricValues metric_values(const EventReader& reader) {
  MetricValues values{{}, reader.warnings()};
  const std::vector<const EventTag*> tags = reader.tags();
  const auto metric_named = [&](const std::string& name) -> Metric& {
    const auto at = std::find_if(values.metrics.begin(), values.metrics.end(),
                                 [&](const Metric& metric) { return metric.name == name; });
    return at != values.metrics.end() ? *at : values.metrics.emplace_back(Metric{name});
  };
  std::set<std::string> shown_for_it;  // tags that repeat a record for TensorBoard's eyes
  for (const EventTag* tag : tags) {
    const auto name = recorded_name(tag->name);
    if (!name || tag->records.empty()) continue;
    Metric metric{*name};
    for (const EventText& record : tag->records) add_record(metric, record.value);
    shown_for_it.insert(*name);
    if (metric.table)
      for (const auto& [column, cells] : metric.table->columns) shown_for_it.insert(*name + "/" + column);
    if (!metric.chart.is_null()) shown_for_it.insert(*name + "/table");
  }
  for (const EventTag* tag : tags) {
    if (const auto name = recorded_name(tag->name); name && !tag->records.empty()) {
      Metric& metric = metric_named(*name);
      for (const EventText& record : tag->records) add_record(metric, record.value);
    } else if (!shown_for_it.contains(tag->name)) {
      Metric& metric = metric_named(tag->name);
      metric.points = tag->numbers;
      metric.texts = tag->texts;
      metric.images = tag->images;
    }
  }
  return values;
}

MetricValues read_metrics(const std::filesystem::path& logs_directory) {
  EventReader reader(logs_directory);
  reader.update();
  return metric_values(reader);
}

ordered_json to_json(const Metric& metric) {
  if (metric.table) {
    auto columns = ordered_json::object();
    for (const auto& [name, cells] : metric.table->columns) {
      auto& column = columns[name] = ordered_json::array();
      for (const MetricCell& cell : cells) column.push_back(cell_json(cell));
    }
    return columns;
  }
  if (!metric.chart.is_null()) return metric.chart;
  auto all = ordered_json::array();
  for (const EventPoint& point : metric.points) all.push_back(number_json(as_logged(point.value)));
  for (const EventText& text : metric.texts) all.push_back(text.value);
  if (all.size() == 1 && metric.images.empty()) return all.front();
  for (const EventImage& image : metric.images)
    all.push_back({{"step", image.step}, {"width", image.width}, {"height", image.height}, {"bytes", image.bytes}});
  return all;
}

ordered_json to_json(const MetricValues& values) {
  auto all = ordered_json::object();
  for (const Metric& metric : values.metrics) all[metric.name] = to_json(metric);
  return all;
}

std::vector<EventPoint> thinned(const std::vector<EventPoint>& points, std::size_t count) {
  if (points.size() <= count) return points;
  std::vector<EventPoint> kept{points.front()};
  // Two of each stretch, besides the first and the last point of all.
  const std::size_t stretches = (count - 2) / 2, inner = points.size() - 2;
  for (std::size_t i = 0; i < stretches; ++i) {
    const auto begin = points.begin() + 1 + static_cast<std::ptrdiff_t>(inner * i / stretches);
    const auto end = points.begin() + 1 + static_cast<std::ptrdiff_t>(inner * (i + 1) / stretches);
    // NaN compares with nothing: a stretch that has one shows it.
    const auto nan = std::find_if(begin, end, [](const EventPoint& p) { return std::isnan(p.value); });
    auto [low, high] = std::minmax_element(begin, end, [](const auto& a, const auto& b) { return a.value < b.value; });
    if (nan != end) high = nan;
    if (high < low) std::swap(low, high);
    kept.push_back(*low);
    if (high != low) kept.push_back(*high);
  }
  kept.push_back(points.back());
  return kept;
}

double as_logged(double value) {
  const auto narrow = static_cast<float>(value);
  if (!std::isfinite(value) || static_cast<double>(narrow) != value) return value;
  char text[32];
  const auto written = std::to_chars(text, text + sizeof text, narrow);
  double wide = value;
  std::from_chars(text, written.ptr, wide);
  return wide;
}

}  // namespace lockstep
