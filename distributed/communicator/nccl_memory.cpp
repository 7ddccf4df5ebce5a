#include "lockstep/distributed/communicator/nccl_memory.h"

#include <utility>

namespace lockstep {
namespace {

class NcclMemory final : public DirectMemory {
 public:
  NcclMemory(std::shared_ptr<NcclComm> comm, std::int64_t bytes, ByteCount in_use)
      : comm_(std::move(comm)), bytes_(bytes), in_use_(std::move(in_use)) {
    constexpr std::size_t page = 4096;  // windows begin and end at pages
    allocated_ = (static_cast<std::size_t>(bytes) / page + 1) * page;
    check_nccl(ncclMemAlloc(&data_, allocated_), "ncclMemAlloc");
    *in_use_ += bytes_;
  }

  ~NcclMemory() override {
    try {
      if (!comm_->aborted() && registration_ != nullptr) unregister();
    } catch (const Failure&) {  // the communicator ended meanwhile, and its registrations with it
    }
    comm_->wait_for_abort();  // kernels may still be about to leave
    ncclMemFree(data_);
    *in_use_ -= bytes_;
  }
  NcclMemory(const NcclMemory&) = delete;
  NcclMemory& operator=(const NcclMemory&) = delete;

  void* data() override { return data_; }
  std::int64_t bytes() const override { return bytes_; }
  std::size_t allocated() const { return allocated_; }

  // Registration makes collectives faster; where NCCL cannot, it leaves the registration null and copies.
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 27, 0)
  void register_with_nccl() {
    comm_->call("ncclCommWindowRegister", [this](ncclComm_t comm) {
      return ncclCommWindowRegister(comm, data_, allocated_, &registration_, NCCL_WIN_COLL_SYMMETRIC);
    });
  }
  void unregister() {
    comm_->call("ncclCommWindowDeregister",
                [this](ncclComm_t comm) { return ncclCommWindowDeregister(comm, registration_); });
  }

 private:
  ncclWindow_t registration_ = nullptr;
#else
  void register_with_nccl() {
    comm_->call("ncclCommRegister",
                [this](ncclComm_t comm) { return ncclCommRegister(comm, data_, allocated_, &registration_); });
  }
  void unregister() {
    comm_->call("ncclCommDeregister", [this](ncclComm_t comm) { return ncclCommDeregister(comm, registration_); });
  }

 private:
  void* registration_ = nullptr;
#endif
  std::shared_ptr<NcclComm> comm_;
  std::int64_t bytes_;
  ByteCount in_use_;
  std::size_t allocated_ = 0;
  void* data_ = nullptr;
};

}  // namespace

std::shared_ptr<DirectMemory> allocate_nccl_memory(std::shared_ptr<NcclComm> comm, std::int64_t bytes,
                                                   cudaStream_t stream, ByteCount in_use) {
  auto memory = std::make_shared<NcclMemory>(std::move(comm), bytes, std::move(in_use));
  check_cuda(cudaMemsetAsync(memory->data(), 0, memory->allocated(), stream), "cudaMemsetAsync");
  check_cuda(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  memory->register_with_nccl();
  return memory;
}

}  // namespace lockstep
