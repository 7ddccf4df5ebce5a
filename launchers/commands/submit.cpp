// lockstep submit
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "lockstep/core/publish.h"
#include "lockstep/core/words.h"
#include "lockstep/launchers/commands/command_line.h"
#include "lockstep/launchers/experiment.h"
#include "lockstep/launchers/follow_log.h"
#include "lockstep/launchers/submission.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Request {
  Estimator estimator;
  std::string job_file;  // "" when there is none
  bool dry_run = false;
  bool wait = false;
  bool show_output = false;
  bool json = false;
};

constexpr CommandText kText{
    "lockstep submit [JOB.ini] [options] [-- PROGRAM ARGS…]",
    "Starts a training program on many processes and returns: the run goes on in the background, watched over by a\n"
    "supervisor, and is kept below .lockstep/runs with its code, logs, metrics and outputs.\n\n"
    "JOB.ini holds the same options as lines, for example process_count_per_node = 2; options on the command line win. "
    "What follows\n"
    "-- is the entry script and its parameters, untouched. Paths count from the current directory. Ranks run in a copy "
    "of the\n"
    "source directory, where ./outputs is kept and ./logs holds logs and metrics.",
    "  lockstep submit --process-count-per-node 2 --wait -- train.py --epochs 2\n"
    "  lockstep submit job.ini --script-params --learning-rate=0.01 --tags try=second\n"
    "  lockstep submit job.ini --dry-run"};

// The estimator's options as they are, and what to do with them.
class RequestTable : public OptionTable<Request> {
 public:
  RequestTable() {
    for (OptionEntry entry : estimator_options().entries()) {
      group(entry.group);
      const auto part = [](void* request) { return &static_cast<Request*>(request)->estimator; };
      entry.set = [part, set = entry.set](void* request, const std::string& text) { return set(part(request), text); };
      entry.get = [get = entry.get](const void* request) {
        return get(&static_cast<const Request*>(request)->estimator);
      };
      entry.reset = [part, reset = entry.reset](void* request) { reset(part(request)); };
      if (entry.is_key_values) {
        entry.pairs = [pairs = entry.pairs](const void* request) {
          return pairs(&static_cast<const Request*>(request)->estimator);
        };
        entry.add_pair = [part, add = entry.add_pair](void* request, const std::string& key, const std::string& value) {
          add(part(request), key, value);
        };
      }
      add_entry(std::move(entry));
    }
    group("Submitting");
    add("dry-run", &Request::dry_run, "", "print what would be done, the exact line included, and do nothing");
    add("wait", &Request::wait, "", "show rank 0's log until the run has ended; the exit code is then the program's");
    add("show-output", &Request::show_output, "", "the same as --wait");
    add("json", &Request::json, "", "print JSON; with --wait also at the end, in place of the log");
  }
};

Error no_job_file(const std::string& name) {
  Error error{ErrorKind::usage, "there is no job file " + name, {}, {}};
  if (fs::path(name).extension() != ".ini") error.hint = "to start a program write: lockstep submit -- " + name;
  return error;
}

void check_is_job_file(const std::string& name) {
  std::error_code ignored;
  if (!fs::exists(name, ignored)) throw Failure(no_job_file(name));
  const std::string extension = fs::path(name).extension();
  if (!fs::is_regular_file(name, ignored) || extension == ".py" || extension == ".sh")
    fail(ErrorKind::usage, name + " is no job file", "to start a program write: lockstep submit -- " + name);
}

// The words after "--" are the program, whatever a job file says; two programs on one command line are a mistake.
void take_program(const Arguments& words, Estimator& estimator, OptionTableBase::Origins& origins,
                  const OptionTableBase::Origins& typed) {
  for (const char* option : {"entry-script", "command", "script-params"})
    if (typed.count(option))
      fail(ErrorKind::usage, "the program is given twice: by --" + std::string(option) + " and after --",
           "give one of them", "command line");
  if (words.empty()) fail(ErrorKind::usage, "no program follows --", {}, "command line");
  estimator.command.clear();
  estimator.entry_script = words.front();
  estimator.script_params.clear();
  for (auto word = words.begin() + 1; word != words.end(); ++word) estimator.script_params.emplace_back(*word, "");
  for (const char* option : {"entry-script", "command", "script-params"}) origins[option] = "command line";
}

// Defaults < job file < command line.
OptionTableBase::Origins read_request(const RequestTable& table, const Arguments& arguments, Request& request) {
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  const Arguments options(arguments.begin(), dashes);
  Request scratch;  // a first look: which file, and which options are typed
  Arguments files;
  const auto typed = table.parse_command_line(options, &scratch, &files).value();
  const std::string hint = files.empty() ? "" : table.repeat_hint(options, files.front());
  std::error_code ignored;
  if (!hint.empty() && !fs::exists(files.front(), ignored))
    fail(ErrorKind::usage, "there is no job file " + files.front(), hint, "command line");
  if (files.size() > 1)
    fail(ErrorKind::usage, "one word too many: " + files[1],
         "a program and its arguments follow --; usage: " + std::string(kText.usage), "command line");
  OptionTableBase::Origins origins;
  if (!files.empty()) {
    check_is_job_file(files.front());
    request.job_file = files.front();
    origins =
        estimator_options().parse_ini(read_file(files.front(), 1 << 20), files.front(), &request.estimator).value();
  }
  // --command in place of the file's entry script, and the other way round.
  if (typed.count("command") && !typed.count("entry-script")) {
    request.estimator.entry_script.clear();
    if (!typed.count("script-params")) request.estimator.script_params.clear();
  }
  if (typed.count("entry-script") && !typed.count("command")) request.estimator.command.clear();
  table.parse_command_line(options, &request, &files).value();
  for (const auto& [name, where] : typed) origins[name] = where;
  if (dashes != arguments.end()) take_program({dashes + 1, arguments.end()}, request.estimator, origins, typed);
  return origins;
}

// A job file in the source directory goes into the snapshot, with whatever secrets it sets.
std::string secret_note(const std::string& file, const Submission& submission) {
  std::error_code error;
  const fs::path inside = fs::canonical(file, error).lexically_relative(submission.snapshot.source);
  const auto& files = submission.snapshot.files;
  if (error || std::none_of(files.begin(), files.end(), [&](const SnapshotFile& one) { return one.path == inside; }))
    return {};
  Estimator written;
  estimator_options().parse_ini(read_file(file, 1 << 20), file, &written).value();
  const std::string text = read_file(file, 1 << 20);
  for (const auto& [name, value] : written.environment_variables)
    if (is_secret_name(name) && !value.empty() && text.find(value) != std::string::npos)
      return file + " sets " + name + " and is copied into the run's snapshot with its value: write " + name +
             " without a value there and set it where you submit, or leave the file out by a line in " +
             (submission.snapshot.ignore_file.empty() ? ".lockstepignore" : submission.snapshot.ignore_file);
  return {};
}

Json submitted_json(const RunDirectory& run, const std::vector<std::string>& notices) {
  return {{"id", run.id()}, {"experiment", run.experiment()}, {"directory", run.path().string()}, {"notices", notices}};
}

void print_submitted(const RunDirectory& run, bool wait) {
  std::cout << "run        " << run.id() << "\ndirectory  " << run.path().string() << '\n';
  if (!wait)
    std::cout << "\nTo look further:\n"
              << "  lockstep show " << run.id() << "\n  lockstep logs " << run.id() << " --follow\n  lockstep metrics "
              << run.id() << '\n';
  std::cout << std::flush;
}

int finish(const RunDirectory& run, const Request& request, const std::vector<std::string>& notices) {
  const bool wait = request.wait || request.show_output;
  if (!request.json) {
    print_submitted(run, wait);
    if (wait) std::cout << std::endl;
    return wait ? follow_run(run) : 0;
  }
  if (!wait) return print_json(submitted_json(run, notices)), 0;
  const RunSummary end = wait_for_completion(run);
  print_json(to_json(end));
  return exit_code_of(end);
}

}  // namespace

int submit_command(const Arguments& arguments) {
  Request request;
  const RequestTable table;
  if (asks_for_help(arguments)) return print_help(kText, table, &request), 0;
  const auto origins = read_request(table, arguments, request);
  const LocalMachine machine = probe_local_machine();
  // A dry run leaves nothing behind, not even a workspace.
  const auto existing = Workspace::from_config();
  Submission submission =
      plan_submission(request.estimator, machine, existing ? &existing.value() : nullptr, origins).value();
  if (!request.job_file.empty())
    if (std::string note = secret_note(request.job_file, submission); !note.empty())
      submission.notices.push_back(std::move(note));
  if (!request.json)
    for (const std::string& notice : submission.notices) std::cerr << "note: " << notice << '\n';
  if (request.dry_run) {
    if (request.json)
      print_json(to_json(submission));
    else
      std::cout << describe(submission);
    return 0;
  }
  Arguments command_line{"lockstep", "submit"};
  command_line.insert(command_line.end(), arguments.begin(), arguments.end());
  const Workspace workspace = Workspace::find_or_create().value();
  return finish(execute(submission, workspace, machine, command_line), request, submission.notices);
}

}  // namespace lockstep
