// A training program reduced to its records: logs two metrics through Run, as lockstep-train does. Rank 0 writes.
//   lockstep_metric_worker [LOGS_DIRECTORY]     LOCKSTEP_METRIC_POINTS: of the loss, 4 when unset
#include <cstdlib>
#include <iostream>
#include <string>

#include "lockstep/core/run.h"

int main(int argc, char** argv) {
  const char* rank = std::getenv("RANK");
  if (!rank || std::string(rank) != "0") return 0;
  auto run = lockstep::Run::get_context(/*allow_offline=*/false);
  if (argc > 1) run.set_logs_directory(argv[1]);
  const char* points = std::getenv("LOCKSTEP_METRIC_POINTS");
  const int last = points ? std::atoi(points) : 4;
  run.mark_started();
  for (int step = 1; step <= last; ++step) run.log("train/loss", 2.5 / step, step * 10);
  run.log("eval/accuracy", 0.8125, 40);
  std::cout << "attempt " << run.attempt() << " of " << run.id() << std::endl;
}
