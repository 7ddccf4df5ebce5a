// What `lockstep submit` and `lockstep resume` have in common: an estimator, and what to do with it.
#pragma once

#include <string>

#include "lockstep/core/estimator.h"
#include "lockstep/launchers/commands/command_line.h"

namespace lockstep {

struct SubmitRequest {
  Estimator estimator;
  std::string job_file;  // "" when there is none
  bool dry_run = false;
  bool wait = false;
  bool show_output = false;
  bool json = false;
};

// The estimator's options as they are, and those of submitting.
class SubmitTable : public OptionTable<SubmitRequest> {
 public:
  SubmitTable();
};

// Plans; then prints the plan, or starts the run and, when asked for, waits for its end. command_line: what the user
// typed. Returns the exit code.
int submit(const SubmitRequest& request, const OptionTableBase::Origins& origins, const Arguments& command_line);

}  // namespace lockstep
