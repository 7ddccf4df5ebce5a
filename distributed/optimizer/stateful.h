// What a training has to remember: an optimizer, averaged weights, a loss scale.
#pragma once

#include "lockstep/distributed/gradients/named_tensors.h"

namespace lockstep {

// Names and forms do not depend on the number of ranks or on sharding, so a training can be continued with others.
class Stateful {
 public:
  virtual ~Stateful() = default;

  // Collective where the state is sharded. Views into the state; of a sharded one, copies on the CPU, whole on rank 0
  // and undefined tensors on the others.
  virtual NamedTensors state() = 0;

  // Names, shapes and types of state(), without values (on the device "meta" where it is sharded).
  virtual NamedTensors state_form() { return state(); }

  // values: of the form of state_form(), which the caller has checked; in any order. Copied.
  virtual void load_state(const NamedTensors& values);
};

}  // namespace lockstep
