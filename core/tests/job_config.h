// A config struct with every kind of field, as the option tests use it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/core/option_checks.h"
#include "lockstep/core/options.h"

namespace lockstep {

struct JobConfig {
  std::string model = "cifar_net";
  std::filesystem::path outputs = "./outputs";
  int node_count = 1;
  std::int64_t limit_bytes = 300'000'000;
  std::uint64_t seed = 7;
  double learning_rate = 0.1;
  bool use_gpu = false;
  bool shuffle = true;
  std::optional<std::int64_t> max_seconds = 60;
  std::optional<bool> deterministic;
  std::vector<std::string> include = {"src", "data"};
  KeyValues script_params;
  KeyValues tags = {{"stage", "early"}, {"owner", "me"}};

  bool operator==(const JobConfig&) const = default;
};

inline const OptionTable<JobConfig>& job_options() {
  static const OptionTable<JobConfig> table = [] {
    OptionTable<JobConfig> t;
    t.group("What to train")
        .add("model", &JobConfig::model, "NAME", "network to train", one_of({"cifar_net", "resnet18", "gpt2"}))
        .add("outputs", &JobConfig::outputs, "DIR", "where results go")
        .add("learning_rate", &JobConfig::learning_rate, "RATE", "step size", above(0))
        .add("seed", &JobConfig::seed, "N", "of the random numbers")
        .add("shuffle", &JobConfig::shuffle, "", "another order of the samples in each epoch")
        .add("include", &JobConfig::include, "PATH", "folders to take along");
    t.group("Where")
        .add("node-count", &JobConfig::node_count, "N", "number of nodes", between(1, 4096))
        .add("use-gpu", &JobConfig::use_gpu, "", "train on GPUs")
        .add("limit-bytes", &JobConfig::limit_bytes, "BYTES", "of the snapshot", at_least(0))
        .add("max-seconds", &JobConfig::max_seconds, "S", "ends the run after this time", at_least(1))
        .add("deterministic", &JobConfig::deterministic, "",
             "the same bits every time; the default is left to the model because some have no deterministic kernels")
        .add("script-params", &JobConfig::script_params, "KEY=VALUE", "passed on to the program")
        .add("tags", &JobConfig::tags, "KEY=VALUE", "labels");
    return t;
  }();
  return table;
}

}  // namespace lockstep
