// What must hold for an estimator, but for its environment (estimator_environment_rules.cpp).
#include "lockstep/core/estimator_rules.h"

#include <algorithm>
#include <array>

#include "lockstep/core/dataset_reference.h"
#include "lockstep/core/distribution.h"
#include "lockstep/core/entry_script.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/workspace.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostRanks = 1'000'000;

void at_least(Findings& findings, const std::string& field, std::int64_t value, std::int64_t lowest,
              const std::string& meaning) {
  if (value < lowest)
    findings.add(field, field + " is " + std::to_string(value) + ", must be at least " + std::to_string(lowest),
                 meaning);
}

// A count that distributed_training names too. A count of 1 that nobody wrote is the default, and yields.
void check_same_count(const std::string& field, int value, std::optional<int> other, const std::string& distribution,
                      Findings& findings) {
  const std::string place = findings.origin(field), other_place = findings.origin("distributed_training");
  if (!other || *other == value || (value == 1 && place.empty())) return;
  findings.add(field,
               field + " is " + std::to_string(value) + ", but distributed_training = " + distribution +
                   (other_place.empty() ? "" : " (" + other_place + ")") + " makes it " + std::to_string(*other),
               "say it in one of the two places");
}

void check_distribution(const Estimator& estimator, Findings& findings) {
  const auto distribution = parse_distribution(estimator.distributed_training);
  if (!distribution) return findings.add(distribution.error());
  check_same_count("node_count", estimator.node_count, distribution->node_count, estimator.distributed_training,
                   findings);
  check_same_count("process_count_per_node", estimator.process_count_per_node, distribution->process_count_per_node,
                   estimator.distributed_training, findings);
  const std::int64_t nodes = distribution->node_count.value_or(estimator.node_count);
  const std::int64_t ranks = nodes * distribution->process_count_per_node.value_or(estimator.process_count_per_node);
  if (nodes > 0 && ranks > kMostRanks)
    findings.add("process_count_per_node", "node_count x process_count_per_node is " + std::to_string(ranks) +
                                               ", at most " + std::to_string(kMostRanks) + " ranks are possible");
  if (distribution->kind == "none" && ranks > 1)
    findings.add("distributed_training",
                 "distributed_training is none, but node_count x process_count_per_node is " + std::to_string(ranks),
                 "processes that know nothing of each other would all train the same model: use mpi, or one process");
}

void check_names(const Estimator& estimator, Findings& findings) {
  if (!is_valid_name(estimator.experiment))
    findings.add("experiment", "\"" + estimator.experiment + "\" cannot name an experiment",
                 "use letters, digits and . _ -, beginning with a letter or digit, at most 128");
}

void check_program(const Estimator& estimator, Findings& findings) {
  const bool script = !estimator.entry_script.empty(), command = !estimator.command.empty();
  if (script && command)
    findings.add(
        "command",
        "entry_script and command are both given: \"" + estimator.entry_script + "\" and \"" + estimator.command + "\"",
        "give one of them");
  if (!script && !command)
    findings.add("entry_script", "there is nothing to run: neither entry_script nor command is given",
                 "for example: lockstep submit -- train.py --epochs 2");
  if (command && !estimator.script_params.empty())
    findings.add("script_params", "script_params belong to an entry_script; a command holds its own words",
                 "write them into the command");
  std::error_code ignored;
  const fs::path& source = estimator.source_directory;
  if (!fs::exists(source, ignored)) {
    findings.add("source_directory", "source_directory " + source.string() + " does not exist");
  } else if (!fs::is_directory(source, ignored)) {
    findings.add("source_directory", "source_directory " + source.string() + " is not a directory");
  } else if (script != command) {
    if (const auto resolved = resolve_entry_script(estimator); !resolved) findings.add(resolved.error());
  }
}

// What programs look up to work at all: a data set must not hide it. Those that Lockstep sets are kSetForRanks.
bool is_taken(const std::string& name, const Estimator& estimator) {
  constexpr std::array<std::string_view, 16> kOthers{
      "PATH", "HOME", "USER",        "LOGNAME",     "SHELL",           "TERM",       "TMPDIR",     "TZ",
      "LANG", "PWD",  "MASTER_ADDR", "MASTER_PORT", "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "VIRTUAL_ENV"};
  const auto& ours = contract::kSetForRanks;
  const auto& variables = estimator.environment_variables;
  return std::find(std::begin(ours), std::end(ours), name) != std::end(ours) || name.starts_with("LOCKSTEP_") ||
         std::find(kOthers.begin(), kOthers.end(), name) != kOthers.end() ||
         std::any_of(variables.begin(), variables.end(), [&](const auto& one) { return one.first == name; });
}

}  // namespace

std::string Findings::origin(std::string field) const {
  std::replace(field.begin(), field.end(), '_', '-');
  const auto found = origins_.find(field);
  return found == origins_.end() ? std::string() : found->second;
}

void check_counts(const Estimator& estimator, Findings& findings) {
  at_least(findings, "node_count", estimator.node_count, 1, "it is the number of machines");
  at_least(findings, "process_count_per_node", estimator.process_count_per_node, 1,
           "it is the number of ranks on each machine");
  check_distribution(estimator, findings);
  at_least(findings, "max_restarts", estimator.max_restarts, 0, "0 means that a failed run is not started again");
  if (estimator.max_run_duration_seconds)
    at_least(findings, "max_run_duration_seconds", *estimator.max_run_duration_seconds, 1,
             "leave it out for a run without a limit");
  if (estimator.checkpoint_signal_seconds)
    at_least(findings, "checkpoint_signal_seconds", *estimator.checkpoint_signal_seconds, 1,
             "leave it out for a run that is not told to write a checkpoint");
  at_least(findings, "snapshot_limit_bytes", estimator.snapshot_limit_bytes, 0, "");
  at_least(findings, "snapshot_limit_files", estimator.snapshot_limit_files, 0, "");
}

void check_inputs(const Estimator& estimator, Findings& findings) {
  const auto inputs = inputs_of(estimator);
  if (!inputs) return findings.add(inputs.error());
  for (const NamedInput& input : *inputs)
    if (is_taken(input.name, estimator))
      findings.add(input.field,
                   "the input " + input.name + " cannot be called so: a variable of this name has another meaning",
                   input.field == "inputs" ? "choose another name"
                                           : "give it a name: dataset:" + input.reference.text() + ":as=NAME");
}

std::vector<Error> validate(const Estimator& estimator, const OptionTableBase::Origins& origins) {
  Findings findings(origins);
  check_counts(estimator, findings);
  check_names(estimator, findings);
  check_program(estimator, findings);
  check_inputs(estimator, findings);
  check_environment(estimator, findings);
  check_environment_variables(estimator, findings);
  return findings.take();
}

}  // namespace lockstep
