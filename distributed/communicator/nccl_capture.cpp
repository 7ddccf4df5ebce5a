#include "lockstep/distributed/communicator/nccl_capture.h"

#include <algorithm>
#include <mutex>

namespace lockstep {
namespace {

std::mutex mutex;
bool noting = false;               // guarded by mutex, as the next
std::vector<CapturedCalls> noted;  // per communicator

}  // namespace

NcclCapture::NcclCapture() {
  const std::scoped_lock lock(mutex);
  noting = true;
  noted.clear();
}

NcclCapture::~NcclCapture() {
  const std::scoped_lock lock(mutex);
  noting = false;
}

std::vector<CapturedCalls> NcclCapture::calls() const {
  const std::scoped_lock lock(mutex);
  return noted;
}

void NcclCapture::note(NcclCommunicator& communicator, std::uint64_t bytes) {
  const std::scoped_lock lock(mutex);
  if (!noting) return;
  auto found = std::find_if(noted.begin(), noted.end(),
                            [&](const CapturedCalls& calls) { return calls.communicator == &communicator; });
  if (found == noted.end()) found = noted.insert(found, {.communicator = &communicator});
  ++found->calls;
  found->bytes += bytes;
}

}  // namespace lockstep
