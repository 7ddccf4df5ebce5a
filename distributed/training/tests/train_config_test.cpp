// The options of lockstep-train: defaults, precedence, refusals, and the plain functions on top of them.
#include "lockstep/distributed/training/train_config.h"
#include <gtest/gtest.h>
#include "lockstep/distributed/training/parameter_group_option.h"

#include <algorithm>
#include <fstream>

#include "lockstep/core/tests/temporary_directory.h"
#include "lockstep/distributed/optimizer/schedule.h"

namespace lockstep {
namespace {

Error refusal(const std::vector<std::string>& argv) {
  const auto config = parse_train_config(argv);
  return config ? Error{ErrorKind::internal, "was accepted", {}, {}} : config.error();
}

TEST(TrainConfig, DefaultsAreThoseOfTheTutorial) {
  const TrainConfig config = parse_train_config({}).value();
  EXPECT_EQ(config.model, "cifar_net");
  EXPECT_EQ(config.global_micro_batch(1), 4);
  EXPECT_EQ(config.global_micro_batch(3), 12);
  EXPECT_EQ(config.learning_rate, 0.001);
  EXPECT_FALSE(config.momentum);
  EXPECT_EQ(config.log_every, 2000);
  EXPECT_EQ(config.epoch_limit(), 2);
}

TEST(TrainConfig, TheListOfOptionsIsTheAgreedOne) {
  std::vector<std::string> names;
  for (const auto& entry : train_options().entries()) names.push_back(entry.name);
  const std::vector<std::string> agreed = {"model",
                                           "weights",
                                           "data",
                                           "normalize",
                                           "no-shuffle",
                                           "batch-size",
                                           "global-batch-size",
                                           "accumulate",
                                           "epochs",
                                           "steps",
                                           "optimizer",
                                           "learning-rate",
                                           "scale-learning-rate",
                                           "weight-decay",
                                           "exempt-vectors",
                                           "parameter-group",
                                           "momentum",
                                           "nesterov",
                                           "beta1",
                                           "beta2",
                                           "eps",
                                           "trust-coefficient",
                                           "muon-scale",
                                           "adamw-factor",
                                           "adamw-parameters",
                                           "clip-norm",
                                           "skip-outliers",
                                           "outlier-window",
                                           "ema-decay",
                                           "schedule",
                                           "warmup-steps",
                                           "drop-epochs",
                                           "drop-factor",
                                           "milestone",
                                           "end-factor",
                                           "power",
                                           "rise-part",
                                           "device",
                                           "threads",
                                           "precision",
                                           "loss-scale",
                                           "checkpoint-activations",
                                           "capture",
                                           "capture-steps",
                                           "communicator",
                                           "bucket-mb",
                                           "sync-batch-norm",
                                           "shard-optimizer",
                                           "compress",
                                           "powersgd-rank",
                                           "seed",
                                           "deterministic",
                                           "log-every",
                                           "eval-every",
                                           "check-replicas",
                                           "checkpoint-every",
                                           "resume",
                                           "outputs",
                                           "logs",
                                           "summary",
                                           "config"};
  EXPECT_EQ(names, agreed);
}

TEST(TrainConfig, TheCommandLineWinsOverTheFile) {
  const TemporaryDirectory folder;
  std::ofstream(folder / "job.ini") << "learning_rate = 0.25\nsteps = 17\n# a comment\nnesterov = true\n";
  const auto config = parse_train_config({"--steps", "19", "--config", (folder / "job.ini").string()}).value();
  EXPECT_EQ(config.learning_rate, 0.25);
  EXPECT_EQ(config.steps, 19);
  EXPECT_TRUE(config.nesterov);
}

TEST(TrainConfig, BucketsHaveASizeOrAreMeasured) {
  EXPECT_FALSE(parse_train_config({}).value().bucket_mb.automatic);
  EXPECT_EQ(parse_train_config({"--bucket-mb", "0.5"}).value().bucket_mb.mb, 0.5);
  const auto measured = parse_train_config({"--bucket-mb", "auto"}).value();
  EXPECT_TRUE(measured.bucket_mb.automatic);
  EXPECT_EQ(measured.bucket_mb.mb, 25);
  EXPECT_NE(refusal({"--bucket-mb", "0"}).what.find("greater than 0"), std::string::npos);
  EXPECT_NE(refusal({"--bucket-mb", "some"}).what.find("nor auto"), std::string::npos);
}

TEST(TrainConfig, RefusalsNameTheOptionAndWhatIsKnown) {
  EXPECT_NE(refusal({"--learning-rat", "1"}).what.find("learning-rate"), std::string::npos);
  EXPECT_NE(refusal({"--optimizer", "sdg"}).what.find("did you mean sgd"), std::string::npos);
  EXPECT_NE(refusal({"--precision", "int4"}).what.find("bf16"), std::string::npos);
  EXPECT_NE(refusal({"--loss-scale", "8"}).what.find("--precision is fp32"), std::string::npos);
  EXPECT_NE(refusal({"--batch-size", "0"}).what.find("at least 1"), std::string::npos);
  EXPECT_NE(refusal({"--learning-rate", "-1"}).what.find("learning-rate"), std::string::npos);
  EXPECT_NE(refusal({"train"}).what.find("\"train\""), std::string::npos);
  EXPECT_NE(refusal({"--config", "/nowhere/job.ini"}).what.find("/nowhere/job.ini"), std::string::npos);
  EXPECT_NE(refusal({"--batch-size", "4", "--global-batch-size", "8"}).what.find("both"), std::string::npos);
  EXPECT_NE(refusal({"--nesterov", "--momentum", "0"}).what.find("momentum"), std::string::npos);
  EXPECT_EQ(refusal({"--optimizer", "adamw", "--momentum", "0.9"}).what,
            "--momentum is an option of --optimizer sgd, lars and muon, --optimizer is adamw");
  EXPECT_EQ(refusal({"--beta1", "0.8"}).what,
            "--beta1 is an option of --optimizer adamw, adam, lamb and muon, --optimizer is sgd");
  EXPECT_EQ(refusal({"--adamw-parameters", "fc3.*"}).what,
            "--adamw-parameters is an option of --optimizer muon, --optimizer is sgd");
  EXPECT_EQ(refusal({"--power", "2"}).what, "--power is an option of --schedule polynomial, --schedule is constant");
  EXPECT_EQ(refusal({"--schedule", "multistep"}).what, "--schedule multistep needs a --milestone");
  EXPECT_EQ(refusal({"--schedule", "multistep", "--milestone", "x3"}).what, "--milestone x3 is not a number of epochs");
  EXPECT_NE(refusal({"--global-batch-size", "8", "--scale-learning-rate", "sqrt"}).what.find("does not grow"),
            std::string::npos);
  EXPECT_NE(refusal({"--optimizer", "adam", "--beta2", "1"}).what.find("between"), std::string::npos);
  for (const auto& argv : {std::vector<std::string>{"--batch-size", "4.5"}, {"--zero", "1"}, {"--seed", "-1"}})
    EXPECT_EQ(refusal(argv).kind, ErrorKind::usage) << argv.front();
}

TEST(ParameterGroupOption, SaysWhoAndWhat) {
  const auto group = parse_parameter_group("fc3.*: learning-rate = 0.01, weight-decay=0", 0.1).value();
  EXPECT_EQ(group.pattern, "fc3.*");
  EXPECT_DOUBLE_EQ(group.learning_rate_factor, 0.1);
  EXPECT_EQ(group.weight_decay, 0.0);
  EXPECT_EQ(parse_parameter_group("*.bias:learning-rate-factor=2", 0).value().learning_rate_factor, 2);
}

TEST(ParameterGroupOption, RefusalsSayWhatIsWrong) {
  const auto wrong = [](const std::string& text) { return refusal({"--parameter-group", text}).what; };
  const std::string start = "--parameter-group \"";
  EXPECT_EQ(wrong("fc3.*"), start + "fc3.*\": it says whom it means, but not what differs");
  EXPECT_EQ(wrong(": weight-decay=0"), start + ": weight-decay=0\": it names no parameters");
  EXPECT_EQ(wrong("a: weight-decy=0"),
            start + "a: weight-decy=0\": no setting is called \"weight-decy\"; did you mean weight-decay?");
  EXPECT_EQ(wrong("a: weight-decay"), start + "a: weight-decay\": weight-decay has no value");
  EXPECT_EQ(wrong("a: weight-decay=-1"), start + "a: weight-decay=-1\": weight-decay must be a number of at least 0");
  EXPECT_EQ(wrong("a: learning-rate=1, learning-rate-factor=2"),
            start + "a: learning-rate=1, learning-rate-factor=2\": learning-rate is given twice");
  EXPECT_NE(wrong("a: weight-decay=x").find("weight-decay"), std::string::npos);
  EXPECT_NE(wrong("a:").find("no setting is called \"\""), std::string::npos);
}

// Biases and scales are exempt in every group, and where no group is meant.
TEST(ParameterGroupOption, GoesTogetherWithExemptVectors) {
  TrainConfig config;
  config.exempt_vectors = true;
  config.parameter_groups = {"fc.*: learning-rate-factor=3, weight-decay=0.25"};
  const auto groups = parameter_groups(config, {"fc.weight", "fc.bias", "conv.weight"}).value();
  EXPECT_EQ(settings_of("fc.weight", 2, groups, 0.5), (ParameterSettings{3, 0.25}));
  EXPECT_EQ(settings_of("fc.bias", 1, groups, 0.5), (ParameterSettings{3, 0}));
  EXPECT_EQ(settings_of("conv.weight", 4, groups, 0.5), (ParameterSettings{1, 0.5}));
  EXPECT_EQ(settings_of("conv.bias", 1, groups, 0.5), (ParameterSettings{1, 0}));
  EXPECT_EQ(parameter_groups(config, {"fc.weight", "fc.bias"}).value().size(), 1u);  // none is left over
}

TEST(TrainConfig, StepsAloneMayPassAnyNumberOfEpochs) {
  TrainConfig config;
  EXPECT_EQ(config.epoch_limit(), 2);
  config.steps = 100;
  EXPECT_EQ(config.epoch_limit(), std::nullopt);
  config.epochs = 3;
  EXPECT_EQ(config.epoch_limit(), 3);
}

TEST(TrainConfig, TheUnitOfTheLossCurveIsWhatWasGiven) {
  TrainConfig per_rank;
  per_rank.batch_size = 6;
  EXPECT_EQ(per_rank.log_batch(), 6) << "two ranks do two mini-batches per step";
  TrainConfig global;
  global.global_batch_size = 10;
  EXPECT_EQ(global.log_batch(), 10) << "the same points for any number of ranks";
  EXPECT_EQ(global.global_micro_batch(4), 10);
}

TEST(Schedule, ShapesFollowTheirFormulas) {
  Schedule schedule{.shape = "constant", .learning_rate = 0.4, .warmup_steps = 4};
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 0), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 2), 0.3);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 3), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 1'000'000), 0.4);

  schedule = {.shape = "step", .learning_rate = 0.4, .warmup_steps = 2, .drop_every = 10, .drop_factor = 0.5};
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 11), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 12), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 32), 0.05);

  schedule = {.shape = "cosine", .learning_rate = 0.4, .warmup_steps = 0, .total_steps = 8};
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 0), 0.4);
  EXPECT_NEAR(learning_rate_at(schedule, 2), 0.4 * 0.853553390593, 1e-12);
  EXPECT_NEAR(learning_rate_at(schedule, 4), 0.2, 1e-15);
  EXPECT_NEAR(learning_rate_at(schedule, 8), 0, 1e-15);
  EXPECT_NEAR(learning_rate_at(schedule, 9), 0, 1e-15) << "it does not rise again";
}

}  // namespace
}  // namespace lockstep
