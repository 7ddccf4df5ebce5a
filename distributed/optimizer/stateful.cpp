#include "lockstep/distributed/optimizer/stateful.h"

#include <c10/core/GradMode.h>

#include <map>

namespace lockstep {

void Stateful::load_state(const NamedTensors& values) {
  const c10::AutoGradMode no_graph(false);
  std::map<std::string, at::Tensor> by_name(values.begin(), values.end());
  for (auto& [name, view] : state()) view.copy_(by_name.at(name));
}

}  // namespace lockstep
