#include "open_data.h"

#include "lockstep/core/error.h"
#include "lockstep/data/resolve_dataset.h"

namespace lockstep {
namespace {

constexpr const char* kDefaultData = "fashion-mnist";

void require_same_kind(const TrainingData& data, const std::string& path) {
  if (data.train.image_shape() != data.test.image_shape() || data.train.class_count() != data.test.class_count())
    fail(ErrorKind::usage, "the train and test splits differ in image shape or number of classes", {}, path);
}

}  // namespace

TrainingData open_data(Session& session, const std::string& reference) {
  std::string path = session.agree([&] {
    if (session.local_rank() != 0) return std::string();
    return resolve_data(reference.empty() ? kDefaultData : reference).value().string();
  });
  session.broadcast_text_in_node(path);
  return session.agree([&] {
    const auto labels = session.local_rank() == 0 ? Hdf5Dataset::Labels::checked : Hdf5Dataset::Labels::trusted;
    TrainingData data{Hdf5Dataset::open(path, "train", labels).value(),
                      Hdf5Dataset::open(path, "test", labels).value()};
    require_same_kind(data, path);
    return data;
  });
}

}  // namespace lockstep
