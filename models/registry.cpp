#include "lockstep/models/registry.h"

#include <functional>
#include <map>
#include <stdexcept>

#include "lockstep/models/cifar_net.h"
#include "lockstep/models/gpt2.h"
#include "lockstep/models/mlp.h"
#include "lockstep/models/resnet.h"
#include "lockstep/models/vit.h"

namespace lockstep {
namespace {

struct Entry {
  Samples samples;
  std::function<std::shared_ptr<Model>(const ModelInput&, const ModelOptions&)> make;
  bool batch_norm = false, blocks = false;
};

template <typename T>
Entry images() {
  return {Samples::images, [](const ModelInput& input, const ModelOptions&) { return std::make_shared<T>(input); }};
}

Entry resnet(ResNetPlan plan) {
  return {Samples::images,
          [plan = std::move(plan)](const ModelInput& input, const ModelOptions& options) {
            return make_resnet(plan, input, options);
          },
          /*batch_norm=*/true, /*blocks=*/true};
}

Entry gpt2(Gpt2Plan plan) {
  return {Samples::tokens,
          [plan = std::move(plan)](const ModelInput& input, const ModelOptions& options) {
            return make_gpt2(plan, input, options);
          },
          /*batch_norm=*/false,
          /*blocks=*/true};
}

// A new model is one line here.
const std::map<std::string, Entry, std::less<>> entries = {
    {"cifar_net", images<CifarNet>()},
    {"gpt2", gpt2({"gpt2", /*layers=*/12, /*width=*/768, /*heads=*/12, /*context=*/1024})},
    {"gpt2_tiny", gpt2({"gpt2_tiny", 4, 256, 4, 128})},
    {"mlp", images<Mlp>()},
    {"resnet18", resnet({"resnet18", {2, 2, 2, 2}})},
    {"resnet34", resnet({"resnet34", {3, 4, 6, 3}})},
    {"resnet50", resnet({"resnet50", {3, 4, 6, 3}, /*bottleneck=*/true})},
    {"vit_small", {Samples::images, make_vit_small, /*batch_norm=*/false, /*blocks=*/true}},
};

}  // namespace

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries) names.push_back(name);
  return names;
}

std::vector<std::string> model_names(Samples samples) {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries)
    if (entry.samples == samples) names.push_back(name);
  return names;
}

std::shared_ptr<Model> make_model(std::string_view name, const ModelInput& input, const ModelOptions& options) {
  const auto found = entries.find(name);
  if (found == entries.end()) throw std::invalid_argument("there is no model named '" + std::string(name) + "'");
  const Entry& entry = found->second;
  const bool tokens = input.sequence_length > 0;
  if (tokens != (entry.samples == Samples::tokens)) {
    const std::string have = tokens ? "sequences of " + std::to_string(input.sequence_length) + " tokens"
                                    : "images of " + std::to_string(input.height) + "x" + std::to_string(input.width);
    throw std::invalid_argument(found->first + " takes " + (tokens ? "images" : "tokens") + ", not " + have);
  }
  if (options.make_norm && !entry.batch_norm) throw std::invalid_argument(found->first + " has no batch normalisation");
  if (options.checkpoint_blocks && !entry.blocks)
    throw std::invalid_argument(found->first + " has no blocks whose activations could be computed twice");
  return entry.make(input, options);
}

}  // namespace lockstep
