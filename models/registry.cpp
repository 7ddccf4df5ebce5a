#include "lockstep/models/registry.h"

#include <functional>
#include <map>
#include <stdexcept>

#include "lockstep/models/cifar_net.h"
#include "lockstep/models/mlp.h"

namespace lockstep {
namespace {

using Maker = std::function<std::shared_ptr<Model>(const ModelInput&)>;

template <typename T>
std::shared_ptr<Model> make(const ModelInput& input) {
  return std::make_shared<T>(input);
}

// A new model is one line here.
const std::map<std::string, Maker, std::less<>> makers = {
    {"cifar_net", make<CifarNet>},
    {"mlp", make<Mlp>},
};

}  // namespace

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const auto& [name, maker] : makers) names.push_back(name);
  return names;
}

std::shared_ptr<Model> make_model(std::string_view name, const ModelInput& input) {
  const auto found = makers.find(name);
  if (found == makers.end()) throw std::invalid_argument("there is no model named '" + std::string(name) + "'");
  return found->second(input);
}

}  // namespace lockstep
