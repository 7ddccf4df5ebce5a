#include "lockstep/distributed/session/process_settings.h"

#include <csignal>
#include <cstdio>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace lockstep {

void tune_allocator() {
#ifdef __GLIBC__
  constexpr int kLargestHeapBlock = 32 << 20;  // mallopt refuses more than half of glibc's HEAP_MAX_SIZE
  mallopt(M_MMAP_THRESHOLD, kLargestHeapBlock);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 16 << 20);  // grow in steps large enough that growing is rare
#endif
}

void tune_standard_streams() {
  std::signal(SIGPIPE, SIG_IGN);
  std::setvbuf(stdout, nullptr, _IOLBF, 1 << 16);
}

}  // namespace lockstep
