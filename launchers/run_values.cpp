#include "lockstep/launchers/run_values.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <string_view>

#include "lockstep/core/metric_values.h"
#include "lockstep/core/nearest_names.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

const std::vector<std::string> kKeys{"status", "experiment", "id",       "target",   "command",
                                     "parent", "ranks",      "duration", "submitted"};
constexpr std::string_view kPrefixes[] = {"tags.", "properties.", "params.", "metrics."};

std::string text_of(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

std::string text_of(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

std::optional<std::string> member(const Json& json, const std::string& name) {
  if (!json.is_object() || !json.contains(name)) return {};
  return text_of(json[name]);
}

// Dashes in front do not count: --lr, -lr and lr are one name.
std::optional<std::string> parameter(const Json& record, std::string_view name) {
  const Json pairs = record.value("estimator", Json::object()).value("script_params", Json::array());
  std::optional<std::string> found;
  for (const Json& pair : pairs) {
    if (!pair.is_array() || pair.size() != 2) continue;
    const std::string key = text_of(pair[0]);
    if (key.find_first_not_of('-') != std::string::npos && key.substr(key.find_first_not_of('-')) == name)
      found = text_of(pair[1]);
  }
  return found;
}

std::optional<std::string> last_metric(const RunSummary& run, const std::string& name) {
  const MetricValues values = read_metrics(run.directory / contract::kLogs);
  const Metric* metric = values.find(name);
  if (metric == nullptr) return {};
  if (!metric->points.empty()) return text_of(as_logged(metric->points.back().value));
  if (!metric->texts.empty()) return metric->texts.back().value;
  return {};
}

std::optional<double> number(const std::string& text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

std::optional<double> local_time(const std::string& text) {
  for (const char* format : {"%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S"}) {
    std::tm parts{};
    parts.tm_isdst = -1;
    const char* end = ::strptime(text.c_str(), format, &parts);
    if (end != nullptr && *end == '\0') return static_cast<double>(std::mktime(&parts));
  }
  return {};
}

}  // namespace

void check_run_key(const std::string& key) {
  for (const std::string_view prefix : kPrefixes)
    if (key.size() > prefix.size() && key.starts_with(prefix)) return;
  if (std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end()) return;
  fail(ErrorKind::usage, "\"" + key + "\" is nothing that runs have" + suggestion(key, kKeys),
       "tags.NAME, properties.NAME, params.NAME and metrics.NAME are known too");
}

const Json& RunValues::file(const std::string& name) {
  const auto known = files_.find(name);
  if (known != files_.end()) return known->second;
  Json json = Json::object();
  try {
    std::error_code ignored;
    if (std::filesystem::exists(run_.directory / name, ignored))
      json = Json::parse(read_file(run_.directory / name), nullptr, false);
  } catch (const Failure&) {
    // Of another user: it has nothing, then.
  }
  return files_.emplace(name, json.is_object() ? std::move(json) : Json::object()).first->second;
}

std::optional<std::string> RunValues::get(const std::string& key) {
  const std::string name = key.substr(key.find('.') + 1);
  if (key.starts_with("tags.")) return member(file("tags.json"), name);
  if (key.starts_with("properties.")) return member(file("properties.json"), name);
  if (key.starts_with("params.")) return parameter(file("run.json"), name);
  if (key.starts_with("metrics.")) return last_metric(run_, name);
  if (key == "status") return std::string(status_name(run_.status));
  if (key == "experiment") return run_.experiment;
  if (key == "id") return run_.id;
  if (key == "target") return run_.target;
  if (key == "command") return run_.command;
  if (key == "ranks") return std::to_string(run_.node_count * run_.process_count_per_node);
  if (key == "submitted") return text_of(run_.submitted);
  if (key == "parent" && !run_.parent.empty()) return run_.parent;
  if (key == "duration" && run_.started > 0) return text_of((run_.ended > 0 ? run_.ended : unix_time()) - run_.started);
  return {};
}

RunOrder::RunOrder(std::string key) : key_(std::move(key)) {
  if (key_.ends_with('+')) {
    ascending_ = true;
    key_.pop_back();
  }
  check_run_key(key_);
}

void RunOrder::sort(std::vector<RunSummary>& runs) const {
  struct Keyed {
    std::optional<std::string> text;
    std::optional<double> value;
    std::size_t index;
  };
  std::vector<Keyed> keyed;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    auto text = RunValues(runs[i]).get(key_);
    const auto value = text ? number(*text) : std::nullopt;
    keyed.push_back({std::move(text), value, i});
  }
  std::stable_sort(keyed.begin(), keyed.end(), [&](const Keyed& a, const Keyed& b) {
    if (a.text.has_value() != b.text.has_value()) return a.text.has_value();
    if (!a.text) return false;
    if (a.value.has_value() != b.value.has_value()) return a.value.has_value();  // numbers before words
    const Keyed &first = ascending_ ? a : b, &second = ascending_ ? b : a;
    return a.value ? *first.value < *second.value : *first.text < *second.text;
  });
  std::vector<RunSummary> sorted;
  for (const Keyed& one : keyed) sorted.push_back(std::move(runs[one.index]));
  runs = std::move(sorted);
}

double parse_since(const std::string& text, double now) {
  if (const auto time = local_time(text)) return *time;
  const double unit = text.ends_with('s')   ? 1
                      : text.ends_with('m') ? 60
                      : text.ends_with('h') ? 3600
                      : text.ends_with('d') ? 86400
                      : text.ends_with('w') ? 7 * 86400
                                            : 0;
  const auto count = unit > 0 ? number(text.substr(0, text.size() - 1)) : std::nullopt;
  if (count && *count >= 0) return now - *count * unit;
  fail(ErrorKind::usage, "\"" + text + "\" is no time",
       "90m, 12h, 2d, 3w ago, or a date: 2026-03-01, \"2026-03-01 14:05\"", "--since");
}

}  // namespace lockstep
