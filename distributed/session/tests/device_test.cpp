#include "lockstep/distributed/session/device.h"

#include <gtest/gtest.h>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

c10::Device chosen(const std::string& requested, int gpus, int local_rank) {
  return choose_device({.requested = requested, .count = gpus, .why_none = "no driver"}, local_rank);
}

const c10::Device cpu(c10::DeviceType::CPU);
c10::Device gpu(int number) { return {c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(number)}; }

TEST(ChooseDevice, TakesTheGpuOfTheLocalRank) {
  EXPECT_EQ(chosen("cpu", 4, 1), cpu);
  EXPECT_EQ(chosen("auto", 0, 1), cpu);
  EXPECT_EQ(chosen("auto", 4, 3), gpu(3));
  EXPECT_EQ(chosen("cuda", 4, 0), gpu(0));
  EXPECT_EQ(chosen("auto", 1, 3), gpu(0)) << "each rank sees its own";
  EXPECT_EQ(chosen("cuda:2", 4, 0), gpu(2));
}

TEST(ChooseDevice, RefusesNumbersOfNoGpu) {
  for (const char* const requested : {"cuda:4", "cuda:-1", "cuda:", "cuda:1x"}) {
    try {
      chosen(requested, 4, 0);
      ADD_FAILURE() << requested;
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.error().what,
                "there is no device \"" + std::string(requested) + "\": this process sees 4 GPUs, numbered from 0");
    }
  }
}

TEST(ChooseDevice, SaysWhatIsMissing) {
  try {
    chosen("cuda", 2, 2);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().what, "local rank 2 has no GPU: the node has 2");
  }
  try {
    chosen("cuda", 0, 0);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().what, "there is no GPU to use: no driver");
  }
}

}  // namespace
}  // namespace lockstep
