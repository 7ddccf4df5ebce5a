#include "lockstep/models/registry.h"

#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace lockstep {
namespace {

std::int64_t parameter_count(const Model& model) {
  std::int64_t count = 0;
  for (const auto& parameter : model.parameters()) count += parameter.numel();
  return count;
}

std::string refusal(std::string_view name, const ModelInput& input) {
  try {
    make_model(name, input);
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
  return "accepted";
}

TEST(Models, CifarNetHasTheTutorialsNamesAndShapes) {
  const auto model = make_model("cifar_net", {});
  std::vector<std::string> seen;
  for (const auto& item : model->named_parameters()) {
    std::string line = item.key();
    for (const auto size : item.value().sizes()) line += " " + std::to_string(size);
    seen.push_back(line);
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"conv1.weight 6 3 5 5", "conv1.bias 6", "conv2.weight 16 6 5 5",
                                            "conv2.bias 16", "fc1.weight 120 400", "fc1.bias 120", "fc2.weight 84 120",
                                            "fc2.bias 84", "fc3.weight 10 84", "fc3.bias 10"}));
  EXPECT_EQ(parameter_count(*model), 62006);
}

TEST(Models, CifarNetFitsOtherImages) {
  const auto model = make_model("cifar_net", {.channels = 1, .height = 28, .width = 28, .classes = 7});
  EXPECT_EQ(model->named_parameters()["fc1.weight"].size(1), 16 * 4 * 4);
  EXPECT_EQ(model->forward(at::randn({3, 1, 28, 28})).sizes(), (std::vector<std::int64_t>{3, 7}));
  const auto wide = make_model("cifar_net", {.channels = 2, .height = 16, .width = 37, .classes = 2});
  EXPECT_EQ(wide->forward(at::randn({5, 2, 16, 37})).sizes(), (std::vector<std::int64_t>{5, 2}));
}

TEST(Models, AnEmptyBatchGivesNoLogits) {
  for (const auto& name : model_names()) {
    EXPECT_EQ(make_model(name, {})->forward(at::randn({0, 3, 32, 32})).sizes(), (std::vector<std::int64_t>{0, 10}))
        << name;
  }
}

TEST(Models, RefusalsSayTheValueAndTheLimit) {
  EXPECT_EQ(refusal("cifar_net", {.height = 15, .width = 40}),
            "images of 15x40 pixels are too small for cifar_net, which needs at least 16x16");
  EXPECT_EQ(refusal("cifar_net", {.classes = 0}), "cifar_net needs at least 1 class, not 0");
  EXPECT_EQ(refusal("mlp", {.channels = -3}), "mlp needs at least 1 channel, not -3");
  EXPECT_EQ(refusal("cifar-net", {}), "there is no model named 'cifar-net'");
}

TEST(Models, MlpTakesAnyShape) {
  const auto model = make_model("mlp", {.channels = 1, .height = 1, .width = 9, .classes = 3});
  EXPECT_EQ(model->forward(at::randn({2, 1, 1, 9})).sizes(), (std::vector<std::int64_t>{2, 3}));
}

}  // namespace
}  // namespace lockstep
