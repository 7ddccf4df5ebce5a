// Run: the data sets that the estimator named as inputs.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "lockstep/core/dataset_reference.h"
#include "lockstep/core/run.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/run_store.h"

namespace lockstep {

// In the job the variables tell where this node has them; from outside the registered places are what is known.
std::map<std::string, std::filesystem::path> Run::input_datasets() const {
  std::map<std::string, std::filesystem::path> paths;
  if (offline()) return paths;
  const auto record = RunDirectory::open(directory()).value().record();
  const char* job = std::getenv(contract::kRunId);
  const bool inside = job != nullptr && id() == job;
  for (const auto& input : record.value("input_datasets", nlohmann::ordered_json::array())) {
    const std::string name = input.value("name", "");
    const char* here = inside ? std::getenv(input_variable(name).c_str()) : nullptr;
    paths[name] = here != nullptr ? std::string(here) : input.value("source", "");
  }
  return paths;
}

}  // namespace lockstep
