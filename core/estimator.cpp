#include "lockstep/core/estimator.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "lockstep/core/entry_script.h"
#include "lockstep/core/nearest_names.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/words.h"
#include "lockstep/core/workspace.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostRanks = 1'000'000;

class Validation {
 public:
  Validation(const Estimator& estimator, const OptionTableBase::Origins& origins)
      : estimator_(estimator), origins_(origins) {}

  std::vector<Error> run() {
    check_counts();
    check_distribution();
    check_names();
    check_program();
    check_environment();
    return std::move(errors_);
  }

 private:
  // `field` with underscores, as in messages; origins know it with dashes.
  std::string origin(std::string field) const {
    std::replace(field.begin(), field.end(), '_', '-');
    const auto found = origins_.find(field);
    return found == origins_.end() ? std::string() : found->second;
  }

  void add(const std::string& field, std::string what, std::string hint = {}) {
    errors_.push_back({ErrorKind::usage, std::move(what), origin(field), std::move(hint)});
  }

  void at_least(const std::string& field, std::int64_t value, std::int64_t lowest, const std::string& meaning) {
    if (value < lowest)
      add(field, field + " is " + std::to_string(value) + ", must be at least " + std::to_string(lowest), meaning);
  }

  void check_counts() {
    at_least("node_count", estimator_.node_count, 1, "it is the number of machines");
    at_least("process_count_per_node", estimator_.process_count_per_node, 1,
             "it is the number of ranks on each machine");
    const std::int64_t ranks = std::int64_t{estimator_.node_count} * estimator_.process_count_per_node;
    if (estimator_.node_count > 0 && ranks > kMostRanks)
      add("process_count_per_node", "node_count x process_count_per_node is " + std::to_string(ranks) + ", at most " +
                                        std::to_string(kMostRanks) + " ranks are possible");
    at_least("max_restarts", estimator_.max_restarts, 0, "0 means that a failed run is not started again");
    if (estimator_.max_run_duration_seconds)
      at_least("max_run_duration_seconds", *estimator_.max_run_duration_seconds, 1,
               "leave it out for a run without a limit");
    at_least("snapshot_limit_bytes", estimator_.snapshot_limit_bytes, 0, "");
    at_least("snapshot_limit_files", estimator_.snapshot_limit_files, 0, "");
  }

  void check_distribution() {
    const std::string& kind = estimator_.distributed_training;
    const std::int64_t ranks = std::int64_t{estimator_.node_count} * estimator_.process_count_per_node;
    if (kind == "parameter_server") {
      add("distributed_training", "distributed_training = parameter_server is not supported",
          "all ranks average their gradients by an allreduce, which needs no server and sends each gradient once: use "
          "mpi");
    } else if (kind == "none" && ranks > 1) {
      add("distributed_training",
          "distributed_training is none, but node_count x process_count_per_node is " + std::to_string(ranks),
          "processes that know nothing of each other would all train the same model: use mpi, or one process");
    } else if (!kind.empty() && kind != "mpi" && kind != "none") {
      const std::vector<std::string> known{"mpi", "none"};
      add("distributed_training", "distributed_training is \"" + kind + "\"" + suggestion(kind, known));
    }
  }

  void check_names() {
    if (!is_valid_name(estimator_.experiment))
      add("experiment", "\"" + estimator_.experiment + "\" cannot name an experiment",
          "use letters, digits and . _ -, beginning with a letter or digit, at most 128");
  }

  void check_program() {
    const bool script = !estimator_.entry_script.empty(), command = !estimator_.command.empty();
    if (script && command)
      add("command",
          "entry_script and command are both given: \"" + estimator_.entry_script + "\" and \"" + estimator_.command +
              "\"",
          "give one of them");
    if (!script && !command)
      add("entry_script", "there is nothing to run: neither entry_script nor command is given",
          "for example: lockstep submit -- train.py --epochs 2");
    if (command && !estimator_.script_params.empty())
      add("script_params", "script_params belong to an entry_script; a command holds its own words",
          "write them into the command");
    std::error_code ignored;
    const fs::path& source = estimator_.source_directory;
    if (!fs::exists(source, ignored))
      add("source_directory", "source_directory " + source.string() + " does not exist");
    else if (!fs::is_directory(source, ignored))
      add("source_directory", "source_directory " + source.string() + " is not a directory");
    else if (script != command)
      check_entry_script();
  }

  void check_entry_script() {
    const auto resolved = resolve_entry_script(estimator_);
    if (resolved) return;
    Error error = resolved.error();
    error.where = origin(error.where);
    errors_.push_back(std::move(error));
  }

  static bool is_variable_name(const std::string& name) {
    const auto sound = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    };
    return !name.empty() && !(name[0] >= '0' && name[0] <= '9') && std::all_of(name.begin(), name.end(), sound);
  }

  static bool is_set_by_lockstep(const std::string& name) {
    const auto& names = contract::kSetForRanks;
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  }

  void check_environment() {
    std::map<std::string, std::string> seen;
    for (const auto& [name, value] : estimator_.environment_variables) {
      if (!is_variable_name(name))
        add("environment_variables", "\"" + name + "\" cannot name an environment variable",
            "use letters, digits and _, not beginning with a digit");
      if (is_set_by_lockstep(name))
        add("environment_variables",
            "environment variable " + name + " cannot be given: Lockstep sets it for each rank",
            name == contract::kResumeFrom ? "use resume_from" : "leave it out, or choose another name");
      if (value == kRedacted)
        add("environment_variables",
            "environment variable " + name + " is " + kRedacted +
                ", which stands for a value that was not written down",
            "set " + name + " where you submit and give its name alone: --environment-variables " + name);
      const auto [first, is_new] = seen.emplace(name, value);
      if (!is_new && first->second != value)
        add("environment_variables", "environment variable " + name + " is given two values");
    }
  }

  const Estimator& estimator_;
  const OptionTableBase::Origins& origins_;
  std::vector<Error> errors_;
};

}  // namespace

std::vector<Error> validate(const Estimator& estimator, const OptionTableBase::Origins& origins) {
  return Validation(estimator, origins).run();
}

}  // namespace lockstep
