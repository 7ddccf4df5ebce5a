// Which device a rank computes on. The CUDA part of Lockstep is a library of its own that is loaded only where a GPU
// will be used.
#pragma once

#include <c10/core/Device.h>

#include <string>

namespace lockstep {

// What was asked for and what was found; the second part of the choice needs the local rank, the first must precede MPI
// and tensors.
struct GpuSupport {
  std::string requested = "auto";  // auto, cpu, cuda, cuda:<number>
  int count = 0;                   // usable GPUs of this node
  std::string why_none;            // one sentence, when count is 0
};

// requested: auto, cpu, cuda or cuda:<number>. With a GPU in the machine loads lockstep's CUDA library (process-wide
// symbols: LibTorch looks its CUDA part up once and keeps the answer, so this must come before any tensor code). Never
// throws.
GpuSupport find_gpu(const std::string& requested);

// The CPU; the GPU that was asked for by number; the only GPU that this rank sees (launchers may show each rank its
// own); or GPU number local_rank. Throws Failure(environment) for `cuda` without a GPU, and when there are several, but
// fewer than local ranks; Failure(usage) for a number that is none, or of no GPU here.
c10::Device choose_device(const GpuSupport& gpu, int local_rank);

// Makes it the current device of this thread, which is the one that NCCL's communicator takes. No effect for the CPU.
void use_device(c10::Device device);

}  // namespace lockstep
