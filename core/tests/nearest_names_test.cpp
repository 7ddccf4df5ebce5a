#include "lockstep/core/nearest_names.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using Names = std::vector<std::string>;
const Names kFields = {"node_count", "process_count_per_node", "entry_script", "script_params", "tags", "lr"};

TEST(NearestNames, FindsTypingErrors) {
  EXPECT_EQ(nearest_names("node_cuont", kFields), Names{"node_count"});   // neighbours swapped
  EXPECT_EQ(nearest_names("Node-Count", kFields), Names{"node_count"});   // case and dash
  EXPECT_EQ(nearest_names("nodes_count", kFields), Names{"node_count"});  // one letter more
  EXPECT_EQ(nearest_names("proces_cont_per_node", kFields), Names{"process_count_per_node"});
  EXPECT_EQ(nearest_names("batch_size", kFields), Names{});
}

TEST(NearestNames, AThirdOfTheLengthIsTheLimit) {
  const Names names = {"abcdefghi"};
  EXPECT_EQ(nearest_names("abcdef123", names), names);    // nine letters, three wrong
  EXPECT_EQ(nearest_names("abcde1234", names), Names{});  // four wrong
  EXPECT_EQ(nearest_names("xy", Names{"ab"}), Names{});   // within two edits, but nothing in common
  EXPECT_EQ(nearest_names("", kFields), Names{});
}

TEST(NearestNames, BestFirstThreeAtMost) {
  EXPECT_EQ(nearest_names("resnet20", Names{"resnet34", "resnet59", "resnet18", "resnet21", "resnet20x"}),
            (Names{"resnet20x", "resnet21", "resnet34"}));
}

TEST(NearestNames, ABeginningIsNear) {
  EXPECT_EQ(nearest_names("node", Names{"model", "node_count"}), (Names{"node_count", "model"}));
  EXPECT_EQ(nearest_names("process-", kFields), Names{"process_count_per_node"});
  EXPECT_EQ(nearest_names("pr", kFields), Names{"lr"});  // too short to be a beginning
}

TEST(NearestNames, LongInputIsCheap) { EXPECT_EQ(nearest_names(std::string(10'000'000, 'n'), kFields), Names{}); }

TEST(Suggestion, NamesTheNearestOrAll) {
  EXPECT_EQ(suggestion("tgas", kFields), "; did you mean tags?");
  EXPECT_EQ(suggestion("resnet51", Names{"resnet18", "resnet50", "gpt2"}), "; did you mean resnet50, resnet18?");
  EXPECT_EQ(suggestion("mlp_mixer", Names{"resnet18", "gpt2"}), "; known are resnet18, gpt2");
  EXPECT_EQ(suggestion("anything", Names{}), "");
  Names many;
  for (int i = 100; i < 130; ++i) many.push_back("data" + std::to_string(i));
  const std::string text = suggestion("cifar", many);
  EXPECT_NE(text.find("data119 and 10 more"), std::string::npos) << text;
}

}  // namespace
}  // namespace lockstep
