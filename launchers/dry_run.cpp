#include "lockstep/launchers/dry_run.h"

#include <nlohmann/json.hpp>

#include "lockstep/core/run_contract.h"
#include "lockstep/core/words.h"
#include "lockstep/launchers/rank_exec.h"
#include "lockstep/launchers/stage_inputs.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Variables = std::map<std::string, std::string>;

constexpr const char* kRun = "<run>";
constexpr const char* kId = "<id>";

// As the supervisor sets them for the first attempt (local_launcher.cpp).
void add_run(Variables& variables, const Submission& submission) {
  const LaunchPlan& plan = submission.launch;
  variables[contract::kRunDir] = kRun;
  variables[contract::kRunId] = variables[contract::kAzureRunId] = kId;
  variables[contract::kExperiment] = submission.estimator.experiment;
  variables[contract::kAttempt] = "1";
  variables[contract::kExpectedWorldSize] = std::to_string(plan.node_count * plan.process_count_per_node);
  variables.erase(contract::kResumeFrom);
  if (!submission.estimator.resume_from.empty()) variables[contract::kResumeFrom] = submission.estimator.resume_from;
}

// As rank-exec sets them. On the local target all ranks are on one node.
void add_rank(Variables& variables, const LaunchPlan& plan) {
  const int ranks = plan.node_count * plan.process_count_per_node;
  if (!variables.contains("MASTER_PORT")) variables["MASTER_PORT"] = "<port>";
  const RankEnvironment rank{0, ranks, 0, ranks, "lockstep"};
  const Variables added = rank_variables(rank, kRun, variables).value();
  for (const auto& [name, value] : added) variables[name] = value;
}

}  // namespace

RankStart first_rank(const Submission& submission, Variables available, const fs::path& stage) {
  for (const auto& [name, value] : submission.estimator.environment_variables) available[name] = value;
  RankStart start;
  Variables& variables = start.environment;
  variables = environment_of_ranks(submission.launch, available);
  add_run(variables, submission);
  add_rank(variables, submission.launch);
  for (const InputPlan& input : submission.launch.inputs)
    variables[input.name] = variables[input_variable(input.name)] =
        input_place(input, fs::path(kRun) / submission.launch.work_directory, stage).string();
  for (const std::string& word : submission.launch.rank_argv)
    start.argv.push_back(expand_variables(word, [&](const std::string& name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      return found == variables.end() ? std::nullopt : std::optional(found->second);
    }));
  for (auto& [name, value] : variables)
    if (is_secret_name(name)) value = kRedacted;
  return start;
}

std::string describe(const RankStart& rank) {
  std::string text = "rank 0 runs   " + quote_words(rank.argv) +
                     "\nwith, besides what an MPI adds (its own variables, its folders before PATH)\n";
  for (const auto& [name, value] : rank.environment) text += "  " + quote_words({name + "=" + value}) + "\n";
  return text;
}

nlohmann::ordered_json to_json(const RankStart& rank) {
  return {{"argv", rank.argv}, {"environment", rank.environment}};
}

}  // namespace lockstep
