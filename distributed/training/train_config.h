// How to train: plain values and the one table behind the command line, the INI file and the help of `lockstep-train`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/core/options.h"

namespace lockstep {

// Batches that add up before each optimizer step: a number; or as many pieces of one batch as its size makes necessary
// (micro_batch_search.h).
struct Accumulation {
  std::int64_t count = 1;
  bool automatic = false;
};
// clang-format off
template <> std::string OptionValue<Accumulation>::parse(const std::string&, Accumulation&);
template <> std::vector<std::string> OptionValue<Accumulation>::format(const Accumulation&);
// clang-format on

// MiB of gradients that travel in one all_reduce: a number; or buckets planned from what is measured at the start
// (gradients/plan_from_probe.h).
struct BucketSize {
  double mb = 25;
  bool automatic = false;
};
// clang-format off
template <> std::string OptionValue<BucketSize>::parse(const std::string&, BucketSize&);
template <> std::vector<std::string> OptionValue<BucketSize>::format(const BucketSize&);
// clang-format on

// Defaults are those of PyTorch's CIFAR-10 tutorial: batches of 4, SGD with learning rate 0.001 and momentum 0.9, two
// epochs, the mean loss of every 2,000 mini-batches.
struct TrainConfig {
  std::string model = "cifar_net";
  std::filesystem::path weights;  // start from the values of this model file or checkpoint
  std::string data;               // a registered name, an HDF5 file, a folder or archive that an importer recognises
  std::string normalize = "mean-std";  // mean-std: (pixel / 255 - mean) / std per channel; none: pixel / 255
  bool no_shuffle = false;

  std::optional<std::int64_t> batch_size;         // samples per rank and micro-batch; 4 when neither size is given
  std::optional<std::int64_t> global_batch_size;  // of all ranks together, instead of batch_size
  Accumulation accumulate;                        // micro-batches per optimizer step
  std::optional<std::int64_t> epochs;             // 2 when neither epochs nor steps is given
  std::optional<std::int64_t> steps;  // optimizer steps of the whole training; with epochs: whichever ends first

  std::string optimizer = "sgd";
  double learning_rate = 0.001;
  std::string scale_learning_rate = "none";  // with the number of ranks: none, linear, sqrt
  double weight_decay = 0;
  bool exempt_vectors = false;  // biases and scales of norms: no weight decay, no trust ratio
  std::vector<std::string> parameter_groups;  // "fc3.*: learning-rate=0.01" (parameter_group_option.h)
  // Of some optimizers alone (chosen_optimizer.h); left out: the optimizer's own default.
  std::optional<double> momentum;
  bool nesterov = false;
  std::optional<double> beta1, beta2, eps;
  std::optional<double> trust_coefficient;
  std::optional<std::string> muon_scale;  // match-adamw, original
  std::optional<double> adamw_factor;
  std::vector<std::string> adamw_parameters;

  std::optional<double> clip_norm;
  std::optional<double> skip_outliers;  // standard deviations
  std::int64_t outlier_window = 100;    // steps
  std::optional<double> ema_decay;

  std::string schedule = "constant";
  std::int64_t warmup_steps = 0;
  std::int64_t drop_epochs = 1;         // schedule step: epochs between drops …
  double drop_factor = 0.1;             // … and what each multiplies the learning rate by
  std::vector<std::string> milestones;  // schedule multistep: epochs
  std::optional<double> end_factor;     // schedule linear
  std::optional<double> power;          // schedule polynomial
  std::optional<double> rise_part;      // schedule one-cycle

  std::uint64_t seed = 0;
  bool deterministic = false;
  bool checkpoint_activations = false;
  std::string precision = "fp32";    // fp32; bf16 and fp16: autocast
  std::optional<double> loss_scale;  // fp16: in the beginning
  std::string device = "auto";
  int threads = 1;
  std::string capture = "auto";    // steps as CUDA graphs: auto, on, off
  std::int64_t capture_steps = 1;  // that one launch of a graph makes, where so many follow without a stop
  std::string communicator = "auto";
  bool sync_batch_norm = false;   // statistics of batch normalisation over the samples of all ranks
  BucketSize bucket_mb;           // gradients that travel in one all_reduce
  bool shard_optimizer = false;   // ZeRO-1
  std::string compress = "none";  // how gradients travel: none, bf16, fp16, powersgd
  std::int64_t powersgd_rank = 4;

  std::int64_t log_every = 2000;      // mini-batches
  std::int64_t eval_every = 0;        // steps; 0: at epoch ends
  std::int64_t check_replicas = 0;    // steps; 0: never
  std::int64_t checkpoint_every = 0;  // steps; 0: at epoch ends
  std::string resume;  // auto, none, a checkpoint file, or a run; "": auto where a run starts again, else none
  std::filesystem::path outputs;  // "": the run's ./outputs
  std::filesystem::path logs;     // "": the run's ./logs
  std::filesystem::path summary;
  std::filesystem::path config;

  // Samples of one rank's micro-batch rounded up, and of all ranks' together.
  std::int64_t micro_batch(int world_size) const;
  std::int64_t global_micro_batch(int world_size) const;
  // The unit of --log-every: what one rank processes at a time, or the whole global batch when that is what was given,
  // so that the points of the loss curve do not depend on the number of ranks.
  std::int64_t log_batch() const;
  // Epochs after which the training ends at the latest; nothing when --steps alone limits it.
  std::optional<std::int64_t> epoch_limit() const;
};

inline constexpr double kSgdMomentum = 0.9;  // where --momentum is left out

const OptionTable<TrainConfig>& train_options();

// argv without the program's name. An INI file named by --config is read first, so the command line wins over it.
// Usage error: unknown names (with the nearest ones), bad values, combinations that make no sense.
Result<TrainConfig> parse_train_config(const std::vector<std::string>& argv);

}  // namespace lockstep
