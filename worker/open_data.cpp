#include "open_data.h"

#include <filesystem>

#include "lockstep/core/dataset_registry.h"
#include "lockstep/core/error.h"

namespace lockstep {
namespace {

constexpr const char* kDefaultData = "fashion-mnist";

std::filesystem::path resolve(const std::string& data) {
  if (std::filesystem::exists(data)) return data;
  const auto workspace = Workspace::from_config();
  const auto record = workspace ? find_dataset(*workspace, data) : Result<DatasetRecord>(workspace.error());
  return record.value().path;
}

}  // namespace

TrainingData open_data(const TrainConfig& config) {
  const auto path = resolve(config.data.empty() ? kDefaultData : config.data);
  return {Hdf5Dataset::open(path, "train").value(), Hdf5Dataset::open(path, "test").value()};
}

}  // namespace lockstep
