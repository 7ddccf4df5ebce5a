// What `lockstep runs` compares and sorts by: facts of a run, by name.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/core/run_store.h"

namespace lockstep {

// Throws Failure(usage) for what is none: status, experiment, id, target, command, parent, ranks, duration, submitted,
// tags.NAME, properties.NAME, params.NAME, metrics.NAME.
void check_run_key(const std::string& key);

// Reads of a run only what it is asked for.
class RunValues {
 public:
  explicit RunValues(const RunSummary& run) : run_(run) {}
  // Nothing when the run has no such thing, or its file is damaged. metrics: the last point.
  std::optional<std::string> get(const std::string& key);

 private:
  const nlohmann::ordered_json& file(const std::string& name);  // of the run directory; {} when there is none
  const RunSummary& run_;
  std::map<std::string, nlohmann::ordered_json> files_;
};

// "metrics.loss": the largest first; "metrics.loss+": the smallest. Runs without it come last; else newest first.
class RunOrder {
 public:
  explicit RunOrder(std::string key);
  void sort(std::vector<RunSummary>& runs) const;

 private:
  std::string key_;
  bool ascending_ = false;
};

// "90s", "90m", "12h", "2d", "3w" before now, "2026-03-01" or "2026-03-01 14:05" in local time, as seconds since 1970.
// Throws Failure(usage).
double parse_since(const std::string& text, double now);

}  // namespace lockstep
