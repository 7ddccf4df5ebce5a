// lockstep submit
#include <algorithm>
#include <filesystem>

#include "lockstep/core/publish.h"
#include "lockstep/launchers/commands/submit_request.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

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
OptionTableBase::Origins read_request(const SubmitTable& table, const Arguments& arguments, SubmitRequest& request) {
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  const Arguments options(arguments.begin(), dashes);
  SubmitRequest scratch;  // a first look: which file, and which options are typed
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

}  // namespace

int submit_command(const Arguments& arguments) {
  SubmitRequest request;
  const SubmitTable table;
  if (asks_for_help(arguments)) return print_help(kText, table, &request), 0;
  const auto origins = read_request(table, arguments, request);
  Arguments command_line{"lockstep", "submit"};
  command_line.insert(command_line.end(), arguments.begin(), arguments.end());
  return submit(request, origins, command_line);
}

}  // namespace lockstep
