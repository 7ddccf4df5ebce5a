#include "lockstep/distributed/training/step_graph.h"

#include "lockstep/distributed/communicator/nccl_module.h"

namespace lockstep {

std::unique_ptr<StepGraph> make_step_graph(const StepGraph* companion) {
  auto* make = reinterpret_cast<MakeStepGraph*>(cuda_module_symbol(make_step_graph_symbol));
  return std::unique_ptr<StepGraph>(make(companion));
}

}  // namespace lockstep
