#include "lockstep/core/estimator.h"

#include <utility>

namespace lockstep {

Estimator& Estimator::with_script_param(std::string name, std::string value) {
  script_params.emplace_back(std::move(name), std::move(value));
  return *this;
}

Estimator& Estimator::with_input(std::string name, std::string reference) {
  inputs.emplace_back(std::move(name), std::move(reference));
  return *this;
}

Estimator& Estimator::with_tag(std::string name, std::string value) {
  tags.emplace_back(std::move(name), std::move(value));
  return *this;
}

Estimator& Estimator::with_environment_variable(std::string name, std::string value) {
  environment_variables.emplace_back(std::move(name), std::move(value));
  return *this;
}

Estimator& Estimator::with_conda_package(std::string package) {
  conda_packages.push_back(std::move(package));
  return *this;
}

Estimator& Estimator::with_pip_package(std::string package) {
  pip_packages.push_back(std::move(package));
  return *this;
}

Estimator& Estimator::with_module(std::string module) {
  modules.push_back(std::move(module));
  return *this;
}

Estimator& Estimator::on_nodes(int count, int processes_per_node) {
  node_count = count;
  process_count_per_node = processes_per_node;
  if (distributed_training.empty() && world_size() > 1) distributed_training = "mpi";
  return *this;
}

Estimator& Estimator::on_target(std::string name) {
  compute_target = std::move(name);
  return *this;
}

Estimator& Estimator::for_at_most(std::int64_t seconds) {
  max_run_duration_seconds = seconds;
  return *this;
}

Estimator& Estimator::resuming(std::string run_or_file) {
  resume_from = std::move(run_or_file);
  return *this;
}

}  // namespace lockstep
