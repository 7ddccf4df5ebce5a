// lockstep resume
#include <cstdlib>

#include "lockstep/core/words.h"
#include "lockstep/launchers/commands/as_ini.h"
#include "lockstep/launchers/commands/submit_request.h"

namespace lockstep {
namespace {

constexpr CommandText kText{
    "lockstep resume RUN [options]",
    "Submits a run again, from its newest checkpoint: the same code (its snapshot), the same versions of its data "
    "sets, "
    "and all that\nit was given, but for what the options say otherwise. RUN is an id, a unique part of one, or "
    "\"latest\"; it stays as it is.",
    "  lockstep resume latest --wait\n  lockstep resume latest --node-count 2 --max-run-duration-seconds 3600"};

// What was not written down has to be set here.
void find_secrets(Estimator& estimator) {
  for (auto& [name, value] : estimator.environment_variables) {
    if (value != kRedacted) continue;
    const char* here = std::getenv(name.c_str());
    if (here == nullptr)
      fail(ErrorKind::usage, "the run was given the variable " + name + ", whose value was not written down",
           "set " + name + " here, or give --environment-variables " + name + "=VALUE");
    value = here;
  }
}

}  // namespace

int resume_command(const Arguments& arguments) {
  SubmitRequest request;
  const SubmitTable table;
  if (asks_for_help(arguments)) return print_help(kText, table, &request), 0;
  SubmitRequest scratch;  // a first look: which run
  Arguments words;
  table.parse_command_line(arguments, &scratch, &words).value();
  if (words.size() != 1)
    fail(ErrorKind::usage, words.empty() ? "no run is named" : "one word too many: " + words[1],
         "usage: " + std::string(kText.usage));
  const RunDirectory run = run_by_reference(words.front());
  request.estimator = estimator_of(run, /*from_snapshot=*/true);
  request.estimator.resume_from = run.path().string();
  words.clear();
  const auto origins = table.parse_command_line(arguments, &request, &words).value();
  find_secrets(request.estimator);
  Arguments command_line{"lockstep", "resume"};
  command_line.insert(command_line.end(), arguments.begin(), arguments.end());
  return submit(request, origins, command_line);
}

}  // namespace lockstep
