#include "lockstep/launchers/commands/as_ini.h"

#include <nlohmann/json.hpp>

#include "lockstep/core/words.h"

namespace lockstep {

Estimator estimator_of(const RunDirectory& run, bool from_snapshot) {
  const auto record = run.record();
  for (const char* member : {"estimator_as_given", "estimator"}) {
    if (!record.contains(member)) continue;
    Estimator estimator = estimator_from_json(record[member]);
    if (from_snapshot) estimator.source_directory = run.path() / "snapshot";
    return estimator;
  }
  fail(ErrorKind::corrupt_data, "holds no estimator", {}, (run.path() / "run.json").string());
}

std::string as_ini(const RunDirectory& run, bool from_snapshot) {
  Estimator estimator = estimator_of(run, from_snapshot);
  const Estimator defaults;
  std::string text = "# run " + run.id() + "\n";
  std::erase_if(estimator.environment_variables, [&](const auto& variable) {
    if (variable.second != kRedacted) return false;
    text += "# " + variable.first + " = " + kRedacted +
            "   not written down: set it where you submit and add --environment-variables " + variable.first + "\n";
    return true;
  });
  return text + estimator_options().to_ini(&estimator, &defaults);
}

}  // namespace lockstep
