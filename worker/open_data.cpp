#include "open_data.h"

#include "lockstep/core/error.h"
#include "lockstep/data/resolve_dataset.h"

namespace lockstep {
namespace {

constexpr const char* kDefaultData = "fashion-mnist";

}  // namespace

std::unique_ptr<TrainingData> open_data(Session& session, const std::string& reference) {
  std::string path = session.agree([&] {
    if (session.local_rank() != 0) return std::string();
    return resolve_data(reference.empty() ? kDefaultData : reference).value().string();
  });
  session.broadcast_text_in_node(path);
  const auto values = session.local_rank() == 0 ? StoredValues::checked : StoredValues::trusted;
  return session.agree([&] { return open_training_data(path, values); });
}

}  // namespace lockstep
