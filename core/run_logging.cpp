// What a run logs into its one event file: numbers, texts, rows and tables. run_charts.cpp has what is drawn.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <set>
#include <utility>

#include "lockstep/core/event_encoding.h"
#include "lockstep/core/metric_values.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/run_state.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// Every column once, all of one length.
void check(std::string_view name, const MetricTable& table) {
  std::set<std::string_view> names;
  for (const auto& [column, cells] : table.columns) {
    if (!names.insert(column).second)
      fail(ErrorKind::usage, "the table " + std::string(name) + " has the column " + column + " twice");
    if (cells.size() == table.rows()) continue;
    fail(ErrorKind::usage,
         "column " + column + " of the table " + std::string(name) + " has " + std::to_string(cells.size()) +
             " rows, and " + table.columns.front().first + " has " + std::to_string(table.rows()),
         "give every column a value for each row");
  }
}

std::string cell_text(const MetricCell& cell) {
  std::string text;
  if (const auto* number = std::get_if<double>(&cell)) {
    char digits[40];
    std::snprintf(digits, sizeof digits, "%.6g", *number);
    text = digits;
  } else {
    for (const char c : std::get<std::string>(cell)) {
      if (c == '|') text += '\\';
      text += c == '\n' || c == '\r' ? ' ' : c;
    }
  }
  return text;
}

// For TensorBoard's text tab, which shows a few hundred lines well and no million.
std::string markdown(const MetricTable& table) {
  constexpr std::size_t kMostRows = 1000;
  std::string head, rule, rows;
  for (const auto& [column, cells] : table.columns) {
    head += "|" + cell_text(column);
    rule += "|---";
  }
  for (std::size_t i = 0; i < std::min(table.rows(), kMostRows); ++i) {
    for (const auto& [column, cells] : table.columns) rows += "|" + cell_text(cells[i]);
    rows += "|\n";
  }
  if (table.rows() > kMostRows) rows += "\nand " + std::to_string(table.rows() - kMostRows) + " more rows\n";
  return head + "|\n" + rule + "|\n" + rows;
}

}  // namespace

std::string to_line(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

fs::path Run::State::logs_directory() const { return logs_given.value_or(directory / contract::kLogs); }

void Run::State::warn_once(const std::string& why) {
  if (!std::exchange(warned, true))
    std::fprintf(stderr, "lockstep: metrics are lost (%s); training goes on\n", why.c_str());
}

// After a failure it is tried again now and then: at each metric would cost training more than the metrics are worth.
EventFileWriter* Run::State::writer() {
  constexpr std::chrono::seconds kPause(30);
  if (!logs || !writes) return nullptr;
  if (metrics) return &*metrics;
  if (failed_at && Clock::now() - *failed_at < kPause) return nullptr;
  try {
    make_directories(logs_directory());
    metrics.emplace(logs_directory());
    return &*metrics;
  } catch (const std::exception& e) {
    failed_at = Clock::now();
    warn_once(to_error(e).what);
    return nullptr;
  }
}

void Run::State::write(const std::function<bool(EventFileWriter&)>& record) {
  EventFileWriter* file = writer();
  if (file != nullptr && !record(*file)) warn_once("writing " + file->path().string() + " fails");
}

std::int64_t Run::State::step_for(std::string_view name, std::optional<std::int64_t> given) {
  if (given) return *given;
  const auto at = next_step.find(name);
  if (at != next_step.end()) return at->second++;
  next_step.emplace(name, 1);
  return 0;
}

void Run::set_writer(bool writes) { state_->writes = writes; }

void Run::log(std::string_view name, double value, std::optional<std::int64_t> step) {
  const std::int64_t at = state_->step_for(name, step);
  state_->write([&](EventFileWriter& writer) { return writer.scalar(name, value, at); });
}

void Run::log_list(std::string_view name, std::span<const double> values) {
  for (std::size_t i = 0; i < values.size(); ++i) log(name, values[i], static_cast<std::int64_t>(i));
}

void Run::log_text(std::string_view name, std::string_view value, std::optional<std::int64_t> step) {
  const std::int64_t at = state_->step_for(name, step);
  state_->write([&](EventFileWriter& writer) { return writer.text(name, value, at); });
}

void Run::log_row(std::string_view name, std::span<const std::pair<std::string, MetricCell>> columns) {
  MetricTable row;
  for (const auto& [column, cell] : columns) row.columns.push_back({column, {cell}});
  log_table(name, row);
}

void Run::log_table(std::string_view name, const MetricTable& table) {
  check(name, table);
  const std::size_t rows = table.rows();
  if (rows == 0) return;
  const std::int64_t first = state_->step_for(name, {});
  state_->next_step.find(name)->second = first + static_cast<std::int64_t>(rows);
  state_->write([&](EventFileWriter& writer) {
    const std::string title(name);
    const auto record = nlohmann::ordered_json{{"columns", to_json(Metric{.name = {}, .table = table})}};
    bool good = writer.record(std::string(kRecordPrefix) + title, to_line(record), first);
    for (const auto& [column, cells] : table.columns) {
      for (std::size_t i = 0; i < rows && good; ++i) {
        if (const auto* number = std::get_if<double>(&cells[i]))
          good = writer.scalar(title + "/" + column, *number, first + static_cast<std::int64_t>(i));
      }
    }
    return good && writer.text(name, markdown(table), first);
  });
}

}  // namespace lockstep
