// The parts of validate(): groups of rules over one estimator.
#pragma once

#include <string>
#include <vector>

#include "lockstep/core/estimator.h"

namespace lockstep {

// Problems as they are found, each with the place where its field was given.
class Findings {
 public:
  explicit Findings(const OptionTableBase::Origins& origins) : origins_(origins) {}

  // `field` with underscores, as in messages; origins know it with dashes.
  void add(const std::string& field, std::string what, std::string hint = {}) {
    errors_.push_back({ErrorKind::usage, std::move(what), origin(field), std::move(hint)});
  }
  // An error whose `where` names a field.
  void add(Error error) {
    error.where = origin(error.where);
    errors_.push_back(std::move(error));
  }
  std::string origin(std::string field) const;
  std::vector<Error> take() { return std::move(errors_); }

 private:
  const OptionTableBase::Origins& origins_;
  std::vector<Error> errors_;
};

// Counts of nodes and processes, and how they are started.
void check_counts(const Estimator& estimator, Findings& findings);
// Packages, images, modules: one environment, and one that can be.
void check_environment(const Estimator& estimator, Findings& findings);
void check_environment_variables(const Estimator& estimator, Findings& findings);
// Named data sets.
void check_inputs(const Estimator& estimator, Findings& findings);

}  // namespace lockstep
