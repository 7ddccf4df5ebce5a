#include "lockstep/distributed/training/loss_meter.h"

#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <cmath>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

TEST(LossMeter, MeansAreWeightedBySamples) {
  LossMeter meter;
  meter.add(at::full({}, 2.0f), 3, 1);
  meter.add(at::full({}, 5.0f), 1, 2);
  EXPECT_EQ(meter.sums().loss, 11);
  EXPECT_EQ(meter.sums().samples, 4);
  meter.reset({.loss = 1.5, .samples = 2});
  EXPECT_EQ(meter.sums().loss, 1.5);
  try {
    meter.add(at::full({}, INFINITY), 1, 77);
    ADD_FAILURE();
  } catch (const Failure& failure) {
    EXPECT_NE(failure.error().what.find("infinite at step 77"), std::string::npos) << failure.error().what;
  }
}

}  // namespace
}  // namespace lockstep
