#include "lockstep/distributed/communicator/plain_memory.h"

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

class PlainMemory final : public DirectMemory {
 public:
  PlainMemory(std::int64_t bytes, ByteCount in_use) : bytes_(bytes), in_use_(std::move(in_use)) {
    constexpr std::size_t page = 4096;
    const std::size_t rounded = (static_cast<std::size_t>(bytes) / page + 1) * page;
    data_ = std::aligned_alloc(page, rounded);
    if (data_ == nullptr) fail(ErrorKind::environment, "no memory for " + std::to_string(bytes) + " bytes");
    std::memset(data_, 0, rounded);
    if (in_use_) *in_use_ += bytes_;
  }
  ~PlainMemory() override {
    if (in_use_) *in_use_ -= bytes_;
    std::free(data_);
  }
  PlainMemory(const PlainMemory&) = delete;
  PlainMemory& operator=(const PlainMemory&) = delete;

  void* data() override { return data_; }
  std::int64_t bytes() const override { return bytes_; }

 private:
  void* data_ = nullptr;
  std::int64_t bytes_ = 0;
  ByteCount in_use_;
};

}  // namespace

void check_allocation(std::int64_t bytes) {
  if (bytes < 0) fail(ErrorKind::usage, "allocate: the size is negative: " + std::to_string(bytes) + " bytes");
}

std::shared_ptr<DirectMemory> allocate_plain_memory(std::int64_t bytes, ByteCount in_use) {
  check_allocation(bytes);
  return std::make_shared<PlainMemory>(bytes, std::move(in_use));
}

}  // namespace lockstep
