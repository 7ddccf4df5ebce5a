// From --data to two open splits.
#pragma once

#include <filesystem>
#include <string>

#include "lockstep/data/hdf5_dataset.h"
#include "lockstep/distributed/session/session.h"

namespace lockstep {

struct TrainingData {
  Hdf5Dataset train, test;
};

// Collective. reference: what data/resolve_dataset.h takes; "" is the registered fashion-mnist. Files are looked for,
// and where needed imported, by one rank of each node, which also checks all labels. Throws AgreedFailure(usage): an
// unknown name (with the nearest ones), a damaged file, splits that do not belong together.
TrainingData open_data(Session& session, const std::string& reference);

}  // namespace lockstep
