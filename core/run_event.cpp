// JSON of events and summaries.
#include <chrono>
#include <nlohmann/json.hpp>

#include "lockstep/core/run_store.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

template <typename T>
std::optional<T> optional_member(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end()) return {};
  return found->get<T>();
}

}  // namespace

EndCause end_cause_from_json(const Json& json) {
  EndCause cause;
  cause.reason = json.at("reason").get<std::string>();
  cause.exit_code = optional_member<int>(json, "exit_code");
  cause.signal = optional_member<int>(json, "signal");
  cause.rank = optional_member<int>(json, "rank");
  cause.host = json.value("host", "");
  cause.message = json.value("message", "");
  cause.hint = json.value("hint", "");
  cause.last_lines = json.value("last_lines", std::vector<std::string>{});
  return cause;
}

double unix_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

Json to_json(const EndCause& cause) {
  Json json{{"reason", cause.reason}};
  if (cause.exit_code) json["exit_code"] = *cause.exit_code;
  if (cause.signal) json["signal"] = *cause.signal;
  if (cause.rank) json["rank"] = *cause.rank;
  if (!cause.host.empty()) json["host"] = cause.host;
  if (!cause.message.empty()) json["message"] = cause.message;
  if (!cause.hint.empty()) json["hint"] = cause.hint;
  if (!cause.last_lines.empty()) json["last_lines"] = cause.last_lines;
  return json;
}

Json to_json(const RunEvent& event) {
  Json json{{"sequence", event.sequence},
            {"time", event.time},
            {"status", status_name(event.status)},
            {"attempt", event.attempt}};
  if (!event.detail.empty()) json["detail"] = event.detail;
  if (event.cause) json["cause"] = to_json(*event.cause);
  return json;
}

RunEvent run_event_from_json(const Json& json) try {
  RunEvent event;
  event.sequence = json.at("sequence").get<std::int64_t>();
  event.time = json.at("time").get<double>();
  const std::string name = json.at("status").get<std::string>();
  const auto status = parse_status(name);
  if (!status) fail(ErrorKind::corrupt_data, "\"" + name + "\" is not a run status");
  event.status = *status;
  event.attempt = json.at("attempt").get<int>();
  event.detail = json.value("detail", "");
  if (const auto cause = json.find("cause"); cause != json.end()) event.cause = end_cause_from_json(*cause);
  return event;
} catch (const Json::exception& e) {
  fail(ErrorKind::corrupt_data, std::string("not an event of a run: ") + e.what());
}

Json to_json(const RunSummary& summary) {
  Json json{{"id", summary.id},
            {"experiment", summary.experiment},
            {"directory", summary.directory.string()},
            {"status", status_name(summary.status)}};
  if (!summary.detail.empty()) json["detail"] = summary.detail;
  if (summary.cause) json["cause"] = to_json(*summary.cause);
  json["attempts"] = summary.attempts;
  json["submitted"] = summary.submitted;
  if (summary.started > 0) json["started"] = summary.started;
  if (summary.ended > 0) json["ended"] = summary.ended;
  json["target"] = summary.target;
  json["node_count"] = summary.node_count;
  json["process_count_per_node"] = summary.process_count_per_node;
  json["command"] = summary.command;
  if (!summary.parent.empty()) json["parent"] = summary.parent;
  return json;
}

}  // namespace lockstep
