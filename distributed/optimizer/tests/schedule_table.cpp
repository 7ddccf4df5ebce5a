// Prints learning rates for schedules_against_pytorch.py, a line per case.
//   schedule_table {SHAPE STEPS MILESTONES NUMBERS}...
// MILESTONES: "30,60" or "-". NUMBERS: drop_every,drop_factor,end_factor,power,rise_part,start_divisor,final_divisor.
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>

#include "lockstep/distributed/optimizer/schedule.h"

int main(int argc, char** argv) {
  for (int i = 1; i + 3 < argc; i += 4) {
    lockstep::Schedule schedule{.shape = argv[i], .learning_rate = 0.3, .total_steps = std::atoll(argv[i + 1])};
    std::istringstream milestones(argv[i + 2]), numbers(argv[i + 3]);
    for (std::string word; std::getline(milestones, word, ',') && word != "-";)
      schedule.milestones.push_back(std::stoll(word));
    double drop_every = 0;
    char comma = 0;
    numbers >> drop_every >> comma >> schedule.drop_factor >> comma >> schedule.end_factor >> comma >> schedule.power >>
        comma >> schedule.rise_part >> comma >> schedule.start_divisor >> comma >> schedule.final_divisor;
    schedule.drop_every = static_cast<std::int64_t>(drop_every);
    for (std::int64_t step = 0; step < schedule.total_steps; ++step)
      std::printf("%.17g ", lockstep::learning_rate_at(schedule, static_cast<double>(step)));
    std::printf("\n");
  }
}
