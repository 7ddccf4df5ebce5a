#include "lockstep/launchers/submission.h"

#include <algorithm>
#include <filesystem>

#include "lockstep/core/dataset_registry.h"
#include "lockstep/core/entry_script.h"
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
    resolve_program();
    resolve_datasets();
    resolve_resume_from();
    plan_launch();
    if (const auto slots = local_slots(workspace_); !slots) add(slots.error());  // the supervisor could only fail by it
    take_stock();
    if (errors_.empty()) plan_source();
    if (!errors_.empty()) return combine(errors_);
    plan_.git = git_properties(plan_.snapshot.source);
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

  // "dataset:NAME[@VERSION][:mount|:download]": where the files are is known on this machine, so both forms give their
  // path.
  void resolve_datasets() {
    constexpr std::string_view kPrefix = "dataset:";
    for (auto& [name, value] : plan_.estimator.script_params) {
      if (value.rfind(kPrefix, 0) != 0) continue;
      std::string reference = value.substr(kPrefix.size());
      for (const std::string form : {":mount", ":download"})
        if (reference.ends_with(form)) reference.resize(reference.size() - form.size());
      if (!workspace_) {
        add({ErrorKind::usage, "there is no data set \"" + reference + "\": there is no workspace here yet",
             "script_params", "lockstep data register makes one"});
        continue;
      }
      const auto record = find_dataset(*workspace_, reference);
      if (record)
        value = record->path.string();
      else
        add({record.error().kind, record.error().what, "script_params", record.error().hint});
    }
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
    auto launch = plan_local_launch(plan_.estimator, machine_, &plan_.notices);
    if (!launch) return add(launch.error());
    plan_.launch = std::move(launch).value();
    const bool mpi = plan_.launch.launch_argv.front() == machine_.mpirun;
    plan_.estimator.distributed_training = mpi ? "mpi" : "none";
  }

  void take_stock() {
    auto snapshot = plan_snapshot(plan_.estimator.source_directory, plan_.estimator.snapshot_limit_bytes,
                                  plan_.estimator.snapshot_limit_files);
    if (!snapshot) return add(snapshot.error());
    plan_.snapshot = std::move(snapshot).value();
    plan_.notices.insert(plan_.notices.end(), plan_.snapshot.notices.begin(), plan_.snapshot.notices.end());
    if (errors_.empty()) check_program_is_taken();
  }

  // Where the workspace is, or will be.
  fs::path workspace_root() const { return workspace_ ? workspace_->root() : fs::absolute(".lockstep"); }

  // An entry script that is C++ source gives way to what is built from it.
  void plan_source() {
    const auto entry = source_entry(plan_.estimator);
    if (!entry) return;
    auto build = plan_source_build(*entry, plan_.snapshot.digest, {}, probe_build_tools(), workspace_root());
    if (!build) return add(build.error());
    plan_.source_build = std::move(build).value();
    plan_.launch = with_program(std::move(plan_.launch), *plan_.source_build);
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
  const LocalMachine& machine_;
  const Workspace* workspace_;
  const OptionTableBase::Origins& origins_;
  std::vector<Error> errors_;
};

std::string indented(const std::string& text) {
  std::string result;
  for (const char c : text) result += c == '\n' ? std::string("\n     ") : std::string(1, c);
  return result;
}

}  // namespace

Error combine(const std::vector<Error>& errors) {
  if (errors.size() == 1) return errors.front();
  Error all;
  all.kind =
      std::any_of(errors.begin(), errors.end(), [](const Error& error) { return error.kind == ErrorKind::usage; })
          ? ErrorKind::usage
          : errors.front().kind;
  all.what = std::to_string(errors.size()) + " problems:";
  for (std::size_t i = 0; i < errors.size(); ++i)
    all.what += "\n  " + std::to_string(i + 1) + ". " + indented(errors[i].message());
  return all;
}

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
