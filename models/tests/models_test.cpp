#include "lockstep/models/registry.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
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
  for (const auto& name : model_names(Samples::images)) {
    EXPECT_EQ(make_model(name, {})->forward(at::randn({0, 3, 32, 32})).sizes(), (std::vector<std::int64_t>{0, 10}))
        << name;
  }
}

TEST(Models, RefusalsSayTheValueAndTheLimit) {
  EXPECT_EQ(refusal("cifar_net", {.height = 15, .width = 40}),
            "images of 15x40 pixels are too small for cifar_net, which needs at least 16x16");
  EXPECT_EQ(refusal("cifar_net", {.classes = 0}), "cifar_net needs at least 1 class, not 0");
  EXPECT_EQ(refusal("mlp", {.channels = -3}), "mlp needs at least 1 channel, not -3");
  EXPECT_EQ(refusal("resnet18", {.height = 8, .width = 40}),
            "images of 8x40 pixels are too small for resnet18, which needs at least 9x9");
  EXPECT_EQ(refusal("resnet50", {.channels = 0}), "resnet50 needs at least 1 channel, not 0");
  EXPECT_EQ(refusal("vit_small", {.height = 30, .width = 32}),
            "images of 30x32 pixels cannot be cut into the patches of 4x4 that vit_small sees; it needs sides that are "
            "multiples of 4");
  EXPECT_EQ(refusal("vit_small", {.height = 96, .width = 8}),
            "images of 96x8 pixels are too small for vit_small, which needs at least 16x16");
  EXPECT_EQ(refusal("cifar-net", {}), "there is no model named 'cifar-net'");
  EXPECT_EQ(refusal("mlp", {.sequence_length = 64, .vocabulary = 256}), "mlp takes images, not sequences of 64 tokens");
  EXPECT_EQ(refusal("gpt2", {}), "gpt2 takes tokens, not images of 32x32");
  EXPECT_EQ(refusal("gpt2_tiny", {.sequence_length = 129, .vocabulary = 256}),
            "sequences of 129 tokens are too long for gpt2_tiny, which sees at most 128");
  EXPECT_EQ(refusal("gpt2_tiny", {.sequence_length = 8}), "gpt2_tiny needs a vocabulary of at least 1 token, not 0");
}

TEST(Models, ResNetsHaveTorchvisionsSizes) {
  const ModelInput imagenet{.height = 224, .width = 224, .classes = 1000};
  EXPECT_EQ(parameter_count(*make_model("resnet18", imagenet)), 11'689'512);
  EXPECT_EQ(parameter_count(*make_model("resnet34", imagenet)), 21'797'672);
  EXPECT_EQ(parameter_count(*make_model("resnet50", imagenet)), 25'557'032);
}

TEST(Models, ResNetsStemFollowsTheLargerSide) {
  const auto stem = [](std::int64_t height, std::int64_t width) {
    return make_model("resnet18", {.height = height, .width = width})->named_parameters()["conv1.weight"].size(3);
  };
  EXPECT_EQ(stem(64, 64), 3);
  EXPECT_EQ(stem(65, 32), 7);
  EXPECT_EQ(stem(32, 65), 7);
}

TEST(Models, ResNetTrainsOnOneSampleOfTheSmallestImage) {
  for (const std::int64_t width : {9, 65}) {
    const auto model = make_model("resnet18", {.height = 9, .width = width});
    EXPECT_EQ(model->forward(at::randn({1, 3, 9, width})).sizes(), (std::vector<std::int64_t>{1, 10}));
  }
}

TEST(Models, VitSmallHasTimmsSize) {
  EXPECT_EQ(parameter_count(*make_model("vit_small", {.height = 224, .width = 224, .classes = 1000})), 22'050'664);
}

TEST(Models, Gpt2HasHuggingFacesNamesAndSize) {
  const auto model = make_model("gpt2", {.sequence_length = 1024, .vocabulary = 50257});
  EXPECT_EQ(parameter_count(*model), 124'439'808);
  const auto parameters = model->named_parameters();
  EXPECT_EQ(parameters["transformer.h.11.mlp.c_proj.weight"].sizes(), (std::vector<std::int64_t>{3072, 768}));
}

TEST(Models, Gpt2KnowsTheNamesOfPublishedFiles) {
  const auto model = make_model("gpt2_tiny", {.sequence_length = 9, .vocabulary = 50});
  EXPECT_EQ(model->own_name("h.0.attn.c_attn.bias"), "transformer.h.0.attn.c_attn.bias");
  EXPECT_EQ(model->own_name("transformer.ln_f.bias"), "transformer.ln_f.bias");
  EXPECT_EQ(model->own_name("lm_head.weight"), "transformer.wte.weight");
  EXPECT_EQ(model->own_name("h.3.attn.bias"), "");
  EXPECT_EQ(model->own_name("transformer.h.3.attn.masked_bias"), "");
  EXPECT_EQ(make_model("mlp", {})->own_name("h.3.attn.bias"), "h.3.attn.bias");
}

TEST(Models, Gpt2SeesNothingOfLaterTokens) {
  const auto model = make_model("gpt2_tiny", {.sequence_length = 9, .vocabulary = 50});
  const auto tokens = at::randint(50, {2, 9}, at::kLong);
  auto changed = tokens.clone();
  changed.select(1, 6).add_(1).remainder_(50);
  const auto before = model->forward(tokens), after = model->forward(changed);
  EXPECT_TRUE(at::equal(before.narrow(1, 0, 6), after.narrow(1, 0, 6)));
  for (std::int64_t i = 6; i < 9; ++i) EXPECT_FALSE(at::equal(before.select(1, i), after.select(1, i))) << i;
}

TEST(Models, AnEmptyBatchOfTokensGivesNoLogits) {
  for (const auto& name : model_names(Samples::tokens)) {
    const auto model = make_model(name, {.sequence_length = 9, .vocabulary = 50});
    EXPECT_EQ(model->forward(at::zeros({0, 9}, at::kLong)).sizes(), (std::vector<std::int64_t>{0, 9, 50})) << name;
  }
}

TEST(Models, MlpTakesAnyShape) {
  const auto model = make_model("mlp", {.channels = 1, .height = 1, .width = 9, .classes = 3});
  EXPECT_EQ(model->forward(at::randn({2, 1, 1, 9})).sizes(), (std::vector<std::int64_t>{2, 3}));
}

}  // namespace
}  // namespace lockstep
