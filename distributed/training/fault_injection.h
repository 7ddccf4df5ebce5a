// A test aid: makes a chosen rank fail at a chosen step. Off unless LOCKSTEP_FAULT is set.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace lockstep {

// LOCKSTEP_FAULT=rank=1:step=7:kind=kill
//   rank   which rank fails (default 0)
//   step   number of the optimizer step, counted from 1 over the whole training, before which it happens (default 1)
//   kind   throw: an exception; kill: SIGKILL to itself; exit0: leaves with status 0 without a word; nan: the loss
//   becomes NaN;
//          stop: SIGSTOP, so that it hangs; slow: from then on each step takes 50 ms longer;
//          bit: one bit of one weight is flipped
class FaultInjection {
 public:
  // From the environment. Throws Failure(usage) for a text that is not of this form.
  explicit FaultInjection(int rank);
  FaultInjection(int rank, const std::string& text);

  // To be called before each step. Does what the text says, once its step has come; true: make this step's loss NaN.
  bool strike(std::int64_t step) const {
    return (step == step_ || (kind_ == Kind::slow && step_ > 0 && step > step_)) && strike_now();
  }
  // The first step from `step` on in which a rank fails, this one or another; a very large number when none will.
  std::int64_t next_strike(std::int64_t step) const;
  // Whether to flip a bit before this step.
  bool flips_bit(std::int64_t step) const { return step == step_ && kind_ == Kind::bit; }

 private:
  enum class Kind { none, raise, kill, exit0, nan, stop, slow, bit };
  bool strike_now() const;
  std::int64_t step_ = -1;  // never reached
  std::int64_t step_of_any_ = -1;
  Kind kind_ = Kind::none;
};

// The bit of 1/2 in the mantissa of the first value of a float32 tensor.
void flip_bit(const at::Tensor& tensor);

}  // namespace lockstep
