#include "load_weights.h"

#include <ATen/ops/equal.h>

#include <map>

#include "lockstep/core/error.h"
#include "lockstep/distributed/checkpoint/model_file.h"

namespace lockstep {
namespace {

struct Named {
  std::string name_in_file;
  at::Tensor value;
};

void add(std::map<std::string, Named>& values, const std::string& name, Named value, const std::string& origin) {
  const auto [found, is_new] = values.try_emplace(name, value);
  const at::Tensor &first = found->second.value, &second = value.value;
  if (is_new || (first.scalar_type() == second.scalar_type() && at::equal(first, second))) return;
  fail(ErrorKind::usage,
       "\"" + found->second.name_in_file + "\" and \"" + value.name_in_file +
           "\" have different values, in the model they are one weight",
       "it belongs to a model that does not tie them", origin);
}

}  // namespace

void load_weights(Model& model, const std::filesystem::path& path) {
  std::map<std::string, Named> values;
  for (const auto& [name_in_file, value] : read_weights(path)) {
    const std::string name = model.own_name(name_in_file);
    if (!name.empty()) add(values, name, {name_in_file, value}, path.string());
  }
  NamedTensors weights;
  for (const auto& [name, named] : values) weights.emplace_back(name, named.value);
  copy_into(state_dict(model), weights, path.string());
}

}  // namespace lockstep
