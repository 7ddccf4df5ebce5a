// A training program reduced to its records: logs two metrics through Run, as lockstep-train does. Rank 0 writes.
#include <cstdlib>
#include <iostream>
#include <string>

#include "lockstep/core/run.h"

int main() {
  const char* rank = std::getenv("RANK");
  if (!rank || std::string(rank) != "0") return 0;
  auto run = lockstep::Run::get_context(/*allow_offline=*/false);
  run.mark_started();
  for (int step = 1; step <= 4; ++step) run.log("train/loss", 2.5 / step, step * 10);
  run.log("eval/accuracy", 0.8125, 40);
  std::cout << "attempt " << run.attempt() << " of " << run.id() << std::endl;
}
