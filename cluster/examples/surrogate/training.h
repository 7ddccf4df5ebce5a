// A network that learns the solver's answers while they come in.
#pragma once

#include <mpi.h>

#include "mailbox.h"

struct Verdict {
  int samples = 0, steps = 0;  // of this rank; of all
  int steps_meanwhile = 0;     // of these, while the solver was still at work
  double error = 0;            // on the first trainer: |predicted - solved| / |solved| over the test samples
  double guess = 0;            // the same for the mean of all training samples as the answer to everything
};

// Collective over `trainers`: trains on what arrives in each rank's inbox until the solver has ended, then `last_steps`
// more. Throws what Lockstep throws: on every rank, when it fails on one.
Verdict train(MPI_Comm trainers, Inbox& inbox, int last_steps);
