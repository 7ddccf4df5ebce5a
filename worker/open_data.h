// From --data to two open splits.
#pragma once

#include "lockstep/data/hdf5_dataset.h"
#include "lockstep/distributed/train_config.h"

namespace lockstep {

struct TrainingData {
  Hdf5Dataset train, test;
};

// Looks up, opens and checks what config.data names; left out, the registered fashion-mnist. Throws Failure(usage): an unknown name (with the
// nearest ones), a damaged file, splits that do not belong together.
TrainingData open_data(const TrainConfig& config);

}  // namespace lockstep
