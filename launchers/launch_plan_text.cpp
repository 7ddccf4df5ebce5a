// A launch plan as JSON, kept in run.json, and as text for people.
#include <nlohmann/json.hpp>

#include "lockstep/core/words.h"
#include "lockstep/launchers/launch_plan.h"

namespace lockstep {

using Json = nlohmann::ordered_json;

namespace {

InputPlan input_from_json(const Json& json) {
  InputPlan input;
  json.at("name").get_to(input.name);
  json.at("dataset").get_to(input.dataset);
  json.at("version").get_to(input.version);
  json.at("source").get_to(input.source);
  input.kind = json.value("kind", "");
  input.sha256 = json.value("sha256", "");
  input.bytes = json.value("bytes", std::int64_t{0});
  input.to = json.value("to", "");
  const std::string mode = json.at("mode").get<std::string>();
  for (const DatasetMode known : {DatasetMode::mount, DatasetMode::download, DatasetMode::direct})
    if (mode == mode_name(known)) input.mode = known;
  return input;
}

Json inputs_to_json(const std::vector<InputPlan>& inputs) {
  Json list = Json::array();
  for (const InputPlan& input : inputs) list.push_back(to_json(input));
  return list;
}

}  // namespace

Json to_json(const InputPlan& input) {
  return {
      {"name", input.name},     {"dataset", input.dataset}, {"version", input.version}, {"mode", mode_name(input.mode)},
      {"source", input.source}, {"kind", input.kind},       {"sha256", input.sha256},   {"bytes", input.bytes},
      {"to", input.to}};
}

Json to_json(const LaunchPlan& plan) {
  return {{"target", plan.target},
          {"target_kind", plan.target_kind},
          {"node_count", plan.node_count},
          {"process_count_per_node", plan.process_count_per_node},
          {"slots_per_rank", plan.slots_per_rank},
          {"rank_argv", plan.rank_argv},
          {"launch_argv", plan.launch_argv},
          {"environment", plan.environment},
          {"prepended", plan.prepended},
          {"inherited", plan.inherited},
          {"work_directory", plan.work_directory},
          {"inputs", inputs_to_json(plan.inputs)}};
}

LaunchPlan launch_plan_from_json(const Json& json) try {
  LaunchPlan plan;
  json.at("target").get_to(plan.target);
  json.at("target_kind").get_to(plan.target_kind);
  json.at("node_count").get_to(plan.node_count);
  json.at("process_count_per_node").get_to(plan.process_count_per_node);
  json.at("slots_per_rank").get_to(plan.slots_per_rank);
  json.at("rank_argv").get_to(plan.rank_argv);
  json.at("launch_argv").get_to(plan.launch_argv);
  json.at("environment").get_to(plan.environment);
  plan.prepended = json.value("prepended", plan.prepended);
  json.at("inherited").get_to(plan.inherited);
  json.at("work_directory").get_to(plan.work_directory);
  if (const auto inputs = json.find("inputs"); inputs != json.end())
    for (const Json& input : *inputs) plan.inputs.push_back(input_from_json(input));
  return plan;
} catch (const Json::exception& e) {
  fail(ErrorKind::corrupt_data, std::string("not a launch plan: ") + e.what());
}

std::string shell_quote(const std::vector<std::string>& argv) { return quote_words(argv); }

std::string describe(const LaunchPlan& plan) {
  const int ranks = plan.node_count * plan.process_count_per_node;
  std::string text = "target        " + plan.target + "\n";
  text += "ranks         " + std::to_string(ranks) + " (" + std::to_string(plan.node_count) + " x " +
          std::to_string(plan.process_count_per_node) + ")\n";
  text += "each rank     " + quote_words(plan.rank_argv) + "\n";
  text += "started by    " + quote_words(plan.launch_argv) + "\n";
  text += "environment  ";
  for (const auto& [name, value] : plan.environment) text += " " + quote_words({name + "=" + value});
  for (const auto& [name, folders] : plan.prepended) text += " " + quote_words({name + "=" + folders}) + ":...";
  for (const InputPlan& input : plan.inputs)
    text += "\ninput         " + input.name + ": " + input.dataset + "@" + std::to_string(input.version) + ", " +
            std::string(mode_name(input.mode)) + " of " + quote_words({input.source}) +
            (input.to.empty() ? "" : " to " + quote_words({input.to}));
  text += "\ninherited    ";
  for (const std::string& name : plan.inherited) text += " " + name;
  return text + "\n";
}

}  // namespace lockstep
