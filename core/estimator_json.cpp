// An estimator as JSON, kept in run.json.
#include <nlohmann/json.hpp>

#include "lockstep/core/estimator.h"
#include "lockstep/core/words.h"

namespace lockstep {

using Json = nlohmann::ordered_json;

Json to_json(const Estimator& estimator) {
  Estimator shown = estimator;
  for (auto& [name, value] : shown.environment_variables)
    if (is_secret_name(name)) value = kRedacted;
  const Estimator defaults;
  return estimator_options().to_json(&shown, &defaults);
}

Estimator estimator_from_json(const Json& json) try {
  Estimator estimator;
  estimator_options().from_json(json, &estimator);
  return estimator;
} catch (const Failure& failure) {
  Error error = failure.error();
  error.what = "not an estimator: " + error.what;
  throw Failure(error);
}

}  // namespace lockstep
