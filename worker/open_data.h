// From --data to open data.
#pragma once

#include <memory>
#include <string>

#include "lockstep/distributed/session/session.h"
#include "training_data.h"

namespace lockstep {

// Collective. reference: what data/resolve_dataset.h takes; "" is the registered fashion-mnist. Files are looked for,
// and where needed imported, by one rank of each node, which also checks all labels. Throws AgreedFailure(usage): an
// unknown name (with the nearest ones), a damaged file, splits that do not belong together.
std::unique_ptr<TrainingData> open_data(Session& session, const std::string& reference);

}  // namespace lockstep
