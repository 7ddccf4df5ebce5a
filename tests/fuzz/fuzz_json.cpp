// Records: what is no estimator or event is refused as damaged; what is one is written and read as the same.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "lockstep/core/estimator.h"
#include "lockstep/core/git_properties.h"
#include "lockstep/core/run_store.h"

namespace {

using Json = nlohmann::ordered_json;

template <typename Action>
void refuse_only_as_damaged(const Action& action) {
  try {
    action();
  } catch (const lockstep::Failure& failure) {
    if (failure.error().kind != lockstep::ErrorKind::corrupt_data) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const Json json = Json::parse(data, data + size, nullptr, false);
  if (json.is_discarded()) return 0;
  refuse_only_as_damaged([&] {
    const Json written = lockstep::to_json(lockstep::estimator_from_json(json));
    if (lockstep::to_json(lockstep::estimator_from_json(written)) != written) std::abort();
  });
  refuse_only_as_damaged([&] {
    const Json written = lockstep::to_json(lockstep::run_event_from_json(json));
    if (lockstep::to_json(lockstep::run_event_from_json(written)) != written) std::abort();
  });
  return 0;
}
