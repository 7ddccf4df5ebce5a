#include "lockstep/launchers/submission.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "lockstep/core/dataset_reference.h"
#include "lockstep/core/dataset_registry.h"
#include "lockstep/core/distribution.h"
#include "lockstep/core/entry_script.h"
#include "lockstep/core/environment_pieces.h"
#include "lockstep/core/framework_presets.h"
#include "lockstep/core/words.h"
#include "lockstep/launchers/slots.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class Planner {
 public:
  Planner(const Estimator& estimator, const LocalMachine& machine, const Workspace* workspace,
          const OptionTableBase::Origins& origins)
      : machine_(machine), workspace_(workspace), origins_(origins) {
    plan_.estimator = estimator;
  }

  Result<Submission> run() {
    errors_ = validate(plan_.estimator, origins_);
    if (!errors_.empty()) {
      if (const auto target = check_compute_target(plan_.estimator)) add(*target);
      return combine(errors_);
    }
    plan_.notices = notices(plan_.estimator, origins_);
    plan_.estimator = with_plain_distribution(std::move(plan_.estimator));
    resolve_inputs();
    resolve_resume_from();
    plan_.as_given = plan_.estimator;
    plan_.as_given.source_directory = fs::canonical(plan_.estimator.source_directory);
    if (!plan_.as_given.framework.empty() && plan_.as_given.framework_version.empty())
      plan_.as_given.framework_version = find_framework(plan_.as_given.framework)->versions.front();
    plan_.estimator = with_framework_packages(std::move(plan_.estimator));
    resolve_program();
    plan_environment_of_ranks();
    plan_launch();
    if (const auto slots = local_slots(workspace_); !slots) add(slots.error());  // the supervisor could only fail by it
    take_stock();
    if (errors_.empty()) plan_source();
    if (errors_.empty()) enter_environment();
    if (!errors_.empty()) return combine(errors_);
    plan_.git = git_of_source();
    return std::move(plan_);
  }

 private:
  // Errors name a field in `where`; people want to know where they wrote it.
  void add(Error error) {
    std::string field = error.where;
    std::replace(field.begin(), field.end(), '_', '-');
    const bool is_field = estimator_options().find(field) != nullptr;
    const auto origin = origins_.find(field);
    if (is_field) error.where = origin == origins_.end() ? "" : origin->second;
    errors_.push_back(std::move(error));
  }

  void resolve_program() {
    auto resolved = resolve_entry_script(plan_.estimator);
    if (!resolved) return add(resolved.error());
    plan_.estimator = std::move(resolved).value();
    plan_.estimator.source_directory = fs::canonical(plan_.estimator.source_directory);
  }

  // Which version is meant is settled here: a later one must not get into a run that waits.
  void resolve_inputs() {
    std::map<std::string, int> versions;
    const auto inputs = inputs_of(plan_.estimator).value();
    for (const NamedInput& input : inputs) {
      const DatasetReference& reference = input.reference;
      const std::string named =
          reference.name + (reference.version ? "@" + std::to_string(*reference.version) : std::string());
      if (!workspace_) {
        add({ErrorKind::usage, "there is no data set \"" + named + "\": there is no workspace here yet", input.field,
             "lockstep data register makes one"});
        continue;
      }
      const auto record = find_dataset(*workspace_, named);
      if (!record) {
        add({record.error().kind, record.error().what, input.field, record.error().hint});
        continue;
      }
      if (!reference.version) versions[reference.name] = record->version;
      versions.try_emplace(reference.name, record->version);
      inputs_.push_back({.name = input.name,
                         .dataset = record->name,
                         .version = record->version,
                         .mode = reference.mode,
                         .source = record->path.string(),
                         .kind = record->kind,
                         .sha256 = record->sha256,
                         .bytes = record->bytes,
                         .to = reference.to.string()});
    }
    plan_.estimator = with_versions(std::move(plan_.estimator), versions);
  }

  // Ranks run elsewhere: they get an absolute path.
  void resolve_resume_from() {
    std::string& from = plan_.estimator.resume_from;
    std::error_code ignored;
    if (from.empty()) return;
    if (fs::exists(from, ignored)) {
      from = fs::absolute(from).lexically_normal().string();
      return;
    }
    const auto run = workspace_
                         ? find_run(*workspace_, from)
                         : Result<RunDirectory>(Error{ErrorKind::usage, "there is no workspace here yet", {}, {}});
    if (run)
      from = run->path().string();
    else
      add({ErrorKind::usage, "nothing to resume from: \"" + from + "\" is no file, and " + run.error().what,
           "resume_from", run.error().hint});
  }

  void plan_launch() {
    auto launch = plan_local_launch(plan_.estimator, machine_, &plan_.notices, std::move(inputs_));
    if (!launch) return add(launch.error());
    plan_.launch = std::move(launch).value();
    const bool mpi = plan_.launch.launch_argv.front() == machine_.mpirun;
    plan_.estimator.distributed_training = mpi ? "mpi" : "none";
  }

  void take_stock() {
    auto snapshot = plan_snapshot(plan_.estimator.source_directory, plan_.estimator.snapshot_limit_bytes,
                                  plan_.estimator.snapshot_limit_files,
                                  ObjectStore(workspace_ ? workspace_->root() / "objects" : fs::path()));
    if (!snapshot) return add(snapshot.error());
    plan_.snapshot = std::move(snapshot).value();
    plan_.notices.insert(plan_.notices.end(), plan_.snapshot.notices.begin(), plan_.snapshot.notices.end());
    if (errors_.empty()) check_program_is_taken();
  }

  // Where the workspace is, or will be.
  fs::path workspace_root() const { return workspace_ ? workspace_->root() : fs::absolute(".lockstep"); }

  // What the ranks run with, and by which Python a .py.
  void plan_environment_of_ranks() {
    auto environment = environment_of(plan_.estimator, workspace_, &plan_.notices);
    if (!environment) return add(environment.error());
    if (environment->is_empty()) return;
    auto plan = plan_environment(*environment, workspace_root(), probe_environment_tools(*environment));
    if (!plan) return add(plan.error());
    plan_.notices.insert(plan_.notices.end(), plan->notices.begin(), plan->notices.end());
    if (!plan->python.empty()) machine_.python = plan->python;
    // Which version is meant is settled here, as that of a data set is.
    std::string& definition = plan_.as_given.environment_definition;
    const std::string name = definition.substr(0, definition.find('@'));
    if (environment->version > 0 && environment->name == name)
      definition = name + "@" + std::to_string(environment->version);
    plan_.environment = std::move(plan).value();
  }

  void enter_environment() {
    if (!plan_.environment) return;
    std::vector<std::string> binds;
    for (const InputPlan& input : plan_.launch.inputs) binds.push_back(input.source);
    if (plan_.source_build) binds.push_back(plan_.source_build->build.directory.string());
    auto launch = in_environment(plan_.launch, *plan_.environment, plan_.estimator.use_gpu, binds);
    if (!launch) return add(launch.error());
    plan_.launch = std::move(launch).value();
  }

  // An entry script that is C++ source gives way to what is built from it.
  void plan_source() {
    const auto entry = source_entry(plan_.estimator);
    if (!entry) return;
    auto build = plan_source_build(*entry, plan_.snapshot.digest,
                                   plan_.environment ? plan_.environment->environment : Environment(),
                                   probe_build_tools(), workspace_root());
    if (!build) return add(build.error());
    plan_.source_build = std::move(build).value();
    plan_.launch = with_program(std::move(plan_.launch), *plan_.source_build);
  }

  // A run's snapshot lies in the workspace, and perhaps in a repository: what it came from is in the run's record.
  std::optional<GitProperties> git_of_source() const {
    const fs::path& source = plan_.snapshot.source;
    const auto run = RunDirectory::open(source.parent_path());
    if (source.filename() != "snapshot" || !run) return git_properties(source);
    const auto record = run->record();
    if (!record.contains("git")) return {};
    return git_properties_from_json(record["git"]);
  }

  // Built programs are what ignore files name most often.
  void check_program_is_taken() {
    const fs::path program = plan_.estimator.command.empty() ? fs::path(plan_.estimator.entry_script)
                                                             : fs::path(plan_.launch.rank_argv.front());
    const std::string word = program.string();
    if (program.is_absolute() || word.find('$') != std::string::npos) return;
    if (!plan_.estimator.command.empty() && word.find('/') == std::string::npos) return;
    std::error_code error;
    const bool is_tree = fs::is_directory(plan_.snapshot.source / program, error);
    const fs::path real = fs::canonical(plan_.snapshot.source / (is_tree ? program / "CMakeLists.txt" : program), error)
                              .lexically_relative(plan_.snapshot.source);
    const auto& files = plan_.snapshot.files;
    if (!error && std::any_of(files.begin(), files.end(), [&](const SnapshotFile& file) { return file.path == real; }))
      return;
    const std::string file = plan_.snapshot.ignore_file;
    add({ErrorKind::usage,
         "\"" + word + "\" is not part of the snapshot" + (file.empty() ? "" : ": " + file + " leaves it out"),
         plan_.estimator.command.empty() ? "entry_script" : "command",
         file == ".gitignore" ? "write a .lockstepignore without it: it is used instead of .gitignore"
                              : "take it out of " + file});
  }

  Submission plan_;
  LocalMachine machine_;  // with the Python that the environment brings
  const Workspace* workspace_;
  const OptionTableBase::Origins& origins_;
  std::vector<InputPlan> inputs_;
  std::vector<Error> errors_;
};

}  // namespace

std::string command_text(const Estimator& estimator) {
  if (!estimator.command.empty()) return estimator.command;
  std::vector<std::string> words{estimator.entry_script};
  for (const auto& [name, value] : estimator.script_params) {
    if (!name.empty() || value.empty()) words.push_back(name);
    if (!value.empty()) words.push_back(value);
  }
  return quote_words(words);
}

Result<Submission> plan_submission(const Estimator& estimator, const LocalMachine& machine, const Workspace* workspace,
                                   const OptionTableBase::Origins& origins) {
  return Planner(estimator, machine, workspace, origins).run();
}

}  // namespace lockstep
