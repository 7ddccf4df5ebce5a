// Settings of the whole process that a training program makes once, first thing in main.
#pragma once

namespace lockstep {

// Keeps freed memory in the process instead of handing it back to the kernel after each use: a training step frees and
// asks again for the same tensors thousands of times per second, and every round trip costs page faults and zeroing.
// Blocks of up to 32 MB (the largest glibc allows) come from the heap, which keeps up to 1 GB of free memory. No effect
// with another C library.
void tune_allocator();

// SIGPIPE is ignored (a closed terminal must not kill training), stdout is flushed at each line end (logs are followed
// live).
void tune_standard_streams();

}  // namespace lockstep
