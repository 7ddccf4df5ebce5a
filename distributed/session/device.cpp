#include "lockstep/distributed/session/device.h"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <charconv>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/nccl_module.h"

namespace lockstep {
namespace {

// GPUs that the driver shows this process (CUDA_VISIBLE_DEVICES counts), without linking to it.
int count_gpus(std::string& why_none) {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!driver) {
    why_none = "this machine has no NVIDIA driver (libcuda.so.1)";
    return 0;
  }
  const auto init = reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "cuInit"));
  const auto get_count = reinterpret_cast<int (*)(int*)>(dlsym(driver, "cuDeviceGetCount"));
  int count = 0;
  const int status = init && get_count ? init(0) : -1;
  if (status != 0 || get_count(&count) != 0) count = 0;
  if (count == 0)
    why_none = "the NVIDIA driver shows no GPU (cuInit: " + std::to_string(status) +
               "); see nvidia-smi and CUDA_VISIBLE_DEVICES";
  return count;
}

}  // namespace

GpuSupport find_gpu(const std::string& requested) {
  GpuSupport gpu{.requested = requested, .count = 0, .why_none = {}};
  if (requested == "cpu") return gpu;
  gpu.count = count_gpus(gpu.why_none);
  if (gpu.count == 0) return gpu;
  if (const auto library = load_cuda_module(); !library) {
    gpu.count = 0;
    gpu.why_none = library.error().what + "; " + library.error().hint;
  }
  return gpu;
}

c10::Device choose_device(const GpuSupport& gpu, int local_rank) {
  if (gpu.requested == "cpu" || (gpu.requested == "auto" && gpu.count == 0)) return c10::Device(c10::DeviceType::CPU);
  if (gpu.count == 0)
    fail(ErrorKind::environment, "there is no GPU to use: " + gpu.why_none, "use --device cpu, or auto");
  if (gpu.requested.starts_with("cuda:")) {
    const std::string number = gpu.requested.substr(5);
    int index = -1;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), index);
    if (error != std::errc() || end != number.data() + number.size() || index < 0 || index >= gpu.count)
      fail(ErrorKind::usage, "there is no device \"" + gpu.requested + "\": this process sees " +
                                 std::to_string(gpu.count) + " GPUs, numbered from 0");
    return c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(index));
  }
  // A launcher that gives each rank a GPU of its own shows it one, number 0. Whether two ranks see the same one is
  // found out by NCCL's backend, which compares bus ids.
  if (gpu.count == 1) return c10::Device(c10::DeviceType::CUDA, 0);
  if (local_rank >= gpu.count)
    fail(ErrorKind::environment,
         "local rank " + std::to_string(local_rank) + " has no GPU: the node has " + std::to_string(gpu.count),
         "start at most one rank per GPU, or use --device cpu");
  return c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(local_rank));
}

void use_device(c10::Device device) {
  if (device.is_cuda()) c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
}

}  // namespace lockstep
