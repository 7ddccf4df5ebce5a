// The option table of `lockstep-train`.
#include <cmath>

#include "lockstep/core/option_checks.h"
#include "lockstep/distributed/optimizer/schedule.h"
#include "lockstep/distributed/training/train_config.h"

namespace lockstep {
namespace {

constexpr std::int64_t kNone = 0, kOne = 1, kTwo = 2, kMostCaptured = 1000;
const double kBelowOne = std::nextafter(1.0, 0.0);

void add_data_and_model(OptionTable<TrainConfig>& table) {
  table.group("Model and data");
  table.add("model", &TrainConfig::model, "NAME", "network to train");
  table.add("weights", &TrainConfig::weights, "FILE",
            "start from the values in this model.h5, checkpoint or .safetensors file");
  table.add("data", &TrainConfig::data, "NAME|PATH",
            "registered data set, HDF5 file, or folder or archive that an importer recognises; left out: fashion-mnist "
            "where registered");
  table.add("normalize", &TrainConfig::normalize, "HOW",
            "mean-std: (pixel / 255 - mean) / std per channel, of the training images; none: pixel / 255",
            one_of({"mean-std", "none"}));
  table.add("no-shuffle", &TrainConfig::no_shuffle, "", "samples in file order, every epoch");
}

void add_length(OptionTable<TrainConfig>& table) {
  table.group("Batches and length");
  table.add("batch-size", &TrainConfig::batch_size, "N", "samples per rank and step (4)", at_least(kOne));
  table.add("global-batch-size", &TrainConfig::global_batch_size, "N",
            "samples of all ranks per step, instead of --batch-size", at_least(kOne));
  table.add(
      "accumulate", &TrainConfig::accumulate, "K|auto",
      "add up the gradients of K batches before each optimizer step; auto, with --global-batch-size: cut each batch "
      "into pieces that fit into memory");
  table.add("epochs", &TrainConfig::epochs, "N",
            "passes over the training samples (2 when --steps is not given either)", at_least(kNone));
  table.add("steps", &TrainConfig::steps, "N",
            "optimizer steps of the whole training; with --epochs, whichever ends first; 0 writes the initial model",
            at_least(kNone));
}

void add_optimizer(OptionTable<TrainConfig>& table) {
  table.group("Optimizer");
  table.add("optimizer", &TrainConfig::optimizer, "NAME", "update rule: sgd, adam, adamw, lamb, lars or muon",
            one_of({"sgd", "adam", "adamw", "lamb", "lars", "muon"}));
  table.add("learning-rate", &TrainConfig::learning_rate, "X", "step length", at_least(0.0));
  table.add("scale-learning-rate", &TrainConfig::scale_learning_rate, "RULE",
            "multiply it by the number of ranks (linear) or its square root (sqrt); none",
            one_of(learning_rate_scalings()));
  table.add("weight-decay", &TrainConfig::weight_decay, "X",
            "sgd, adam, lars: added to the gradient (L2); adamw, lamb, muon: decoupled", at_least(0.0));
  table.add("exempt-vectors", &TrainConfig::exempt_vectors, "",
            "no weight decay for biases and scales of norms; lamb, lars: no trust ratio either");
  table.add("parameter-group", &TrainConfig::parameter_groups, "PATTERN: SETTINGS",
            "settings of some parameters, by name: \"fc3.*: learning-rate=0.01, weight-decay=0\" (or "
            "learning-rate-factor=0.1); the first group that matches counts; repeated for more");
  table.add("momentum", &TrainConfig::momentum, "X",
            "sgd, lars (0.9), muon (0.95): part of the last update that is kept", at_least(0.0));
  table.add("nesterov", &TrainConfig::nesterov, "", "sgd, lars: Nesterov's form of momentum; muon always has it");
  table.add("beta1", &TrainConfig::beta1, "X", "adam, adamw, lamb, muon: part kept of the average of gradients (0.9)",
            between(0.0, kBelowOne));
  table.add("beta2", &TrainConfig::beta2, "X", "the same: … of the average of their squares (0.999)",
            between(0.0, kBelowOne));
  table.add("eps", &TrainConfig::eps, "X", "the same: added to the root of that average (1e-8; lamb 1e-6)",
            at_least(0.0));
  table.add("trust-coefficient", &TrainConfig::trust_coefficient, "X",
            "lars: part of its norm that a parameter may move by (0.001)", above(0.0));
  table.add("muon-scale", &TrainConfig::muon_scale, "HOW",
            "muon: match-adamw (learning rates as for adamw; default) or original",
            [](const std::optional<std::string>& how) {
              return how ? one_of({"match-adamw", "original"})(*how) : std::string();
            });
  table.add("adamw-factor", &TrainConfig::adamw_factor, "X",
            "muon: learning rate of what is no matrix, as part of --learning-rate (1)", at_least(0.0));
  table.add("adamw-parameters", &TrainConfig::adamw_parameters, "PATTERN",
            "muon: matrices that adamw updates all the same, by name (\"fc3.*\"); repeated for more");
  table.add("clip-norm", &TrainConfig::clip_norm, "X", "limit of the norm of all gradients together", above(0.0));
  table.add("skip-outliers", &TrainConfig::skip_outliers, "X",
            "leave out steps whose gradients' norm is not finite or more than X standard deviations above the mean",
            above(0.0));
  table.add("outlier-window", &TrainConfig::outlier_window, "N", "steps that this mean is taken over", at_least(kTwo));
  table.add("ema-decay", &TrainConfig::ema_decay, "X",
            "test and write a moving average of the weights that keeps this part of itself each step (0.9999)",
            between(0.0, kBelowOne));
}

void add_schedule(OptionTable<TrainConfig>& table) {
  table.group("Learning rate over time");
  table.add("schedule", &TrainConfig::schedule, "SHAPE",
            "constant, step (drops every --drop-epochs), multistep (drops after each --milestone), cosine (to 0), "
            "linear (to --end-factor), polynomial (to 0) or one-cycle (up and down)",
            one_of(schedule_names()));
  table.add("warmup-steps", &TrainConfig::warmup_steps, "N", "the learning rate rises linearly over the first N steps",
            at_least(kNone));
  table.add("drop-epochs", &TrainConfig::drop_epochs, "N", "schedule step: epochs between drops", at_least(kOne));
  table.add("drop-factor", &TrainConfig::drop_factor, "X",
            "schedules step and multistep: what a drop multiplies the learning rate by", above(0.0));
  table.add("milestone", &TrainConfig::milestones, "EPOCH",
            "schedule multistep: drop after so many epochs; repeated for more");
  table.add("end-factor", &TrainConfig::end_factor, "X", "schedule linear: part of the learning rate at the end (0)",
            at_least(0.0));
  table.add("power", &TrainConfig::power, "X", "schedule polynomial: of the part of the training that is left (1)",
            above(0.0));
  table.add("rise-part", &TrainConfig::rise_part, "X",
            "schedule one-cycle: part of the training in which the learning rate rises, from its 25th (0.3)",
            between(0.0, 1.0));
}

void add_machine(OptionTable<TrainConfig>& table) {
  table.group("Machine");
  table.add("device", &TrainConfig::device, "WHERE", "auto (a GPU where one is usable), cpu or cuda",
            one_of({"auto", "cpu", "cuda"}));
  table.add("threads", &TrainConfig::threads, "N", "computing threads of each rank; 0 leaves LibTorch's choice",
            at_least(0));
  table.add("precision", &TrainConfig::precision, "TYPE",
            "fp32, or bf16 or fp16 (autocast; weights stay fp32; fp16 scales the loss)",
            one_of({"fp32", "bf16", "fp16"}));
  table.add("loss-scale", &TrainConfig::loss_scale, "X",
            "fp16: what losses are multiplied by in the beginning; it adapts itself (65536)", at_least(1.0));
  table.add(
      "checkpoint-activations", &TrainConfig::checkpoint_activations, "",
      "resnets, vit_small, gpt2: keep activations between blocks alone, compute the rest twice; the same numbers");
  table.add("capture", &TrainConfig::capture, "WHETHER",
            "record a training step on a GPU once and replay it as a whole: auto (where it is possible; the log says "
            "why not), on (else end with an error) or off",
            one_of({"auto", "on", "off"}));
  table.add("capture-steps", &TrainConfig::capture_steps, "K",
            "steps of one replay, where so many follow without a stop for the log, a test or a checkpoint: spares a "
            "tiny step the host's time",
            between(kOne, kMostCaptured));
  table.add("communicator", &TrainConfig::communicator, "NAME", "auto, self, mpi, shm, hierarchical or nccl",
            one_of({"auto", "self", "mpi", "shm", "hierarchical", "nccl"}));
  table.add("bucket-mb", &TrainConfig::bucket_mb, "X|auto",
            "MiB of gradients per all_reduce; auto: planned from its measured cost and the order of a first backward, "
            "not with --deterministic; between nodes either may change the last bits of a result");
  table.add("sync-batch-norm", &TrainConfig::sync_batch_norm, "",
            "resnets: batch normalisation over the samples of all ranks, as one rank with all of them would do");
  table.add("shard-optimizer", &TrainConfig::shard_optimizer, "",
            "each rank keeps the optimizer's state for its part of the weights alone (ZeRO stage 1); the same numbers");
  table.add("compress", &TrainConfig::compress, "HOW",
            "how gradients travel: none, bf16, fp16, or powersgd (products of thin matrices, for slow networks)",
            one_of({"none", "bf16", "fp16", "powersgd"}));
  table.add("powersgd-rank", &TrainConfig::powersgd_rank, "N", "powersgd: columns of the thin matrices",
            at_least(kOne));
  table.add("seed", &TrainConfig::seed, "N", "of initial weights, sample order and random layers");
  table.add("deterministic", &TrainConfig::deterministic, "",
            "refuse operations whose result may differ between repeats");
}

void add_records(OptionTable<TrainConfig>& table) {
  table.group("Records");
  table.add("log-every", &TrainConfig::log_every, "N",
            "mean loss of every N mini-batches, counted over all ranks (a mini-batch: --batch-size samples, or "
            "--global-batch-size)",
            at_least(kOne));
  table.add("eval-every", &TrainConfig::eval_every, "N", "test every N steps too; 0: at epoch ends alone",
            at_least(kNone));
  table.add("check-replicas", &TrainConfig::check_replicas, "N",
            "every N steps compare the weights of all ranks, bit for bit; 0: never", at_least(kNone));
  table.add("checkpoint-every", &TrainConfig::checkpoint_every, "N",
            "checkpoint every N steps too; 0: at epoch ends alone", at_least(kNone));
  table.add("resume", &TrainConfig::resume, "auto|PATH|RUN|none",
            "go on from the newest valid checkpoint in --outputs, a checkpoint file, or a run's newest one; left out: "
            "auto where a run is started again, none otherwise; a run started again goes on from its own first");
  table.add("outputs", &TrainConfig::outputs, "DIR", "what is kept: model.h5, checkpoints/ (./outputs)");
  table.add("logs", &TrainConfig::logs, "DIR", "metrics, as TensorBoard event files (./logs)");
  table.add("summary", &TrainConfig::summary, "FILE", "result as JSON, for harnesses");
  table.add("config", &TrainConfig::config, "FILE",
            "INI file with these options (`name = value`); the command line wins");
}

OptionTable<TrainConfig> make_table() {
  OptionTable<TrainConfig> table;
  add_data_and_model(table);
  add_length(table);
  add_optimizer(table);
  add_schedule(table);
  add_machine(table);
  add_records(table);
  return table;
}

}  // namespace

template <>
std::string OptionValue<Accumulation>::parse(const std::string& text, Accumulation& value) {
  value = {.automatic = text == "auto"};
  if (value.automatic) return {};
  if (auto wrong = OptionValue<std::int64_t>::parse(text, value.count); !wrong.empty()) return wrong + ", nor auto";
  return at_least(kOne)(value.count);
}

template <>
std::vector<std::string> OptionValue<Accumulation>::format(const Accumulation& value) {
  return {value.automatic ? "auto" : std::to_string(value.count)};
}

template <>
std::string OptionValue<BucketSize>::parse(const std::string& text, BucketSize& value) {
  value = {.automatic = text == "auto"};
  if (value.automatic) return {};
  if (auto wrong = OptionValue<double>::parse(text, value.mb); !wrong.empty()) return wrong + ", nor auto";
  return above(0.0)(value.mb);
}

template <>
std::vector<std::string> OptionValue<BucketSize>::format(const BucketSize& value) {
  return value.automatic ? std::vector<std::string>{"auto"} : OptionValue<double>::format(value.mb);
}

const OptionTable<TrainConfig>& train_options() {
  static const OptionTable<TrainConfig> table = make_table();
  return table;
}

}  // namespace lockstep
