#include "lockstep/distributed/training/chosen_optimizer.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

#include "lockstep/distributed/optimizer/fused_adam.h"
#include "lockstep/distributed/optimizer/fused_sgd.h"
#include "lockstep/distributed/optimizer/lamb.h"
#include "lockstep/distributed/optimizer/lars.h"
#include "lockstep/distributed/optimizer/muon.h"
#include "lockstep/distributed/training/parameter_group_option.h"

namespace lockstep {
namespace {

using Names = std::vector<std::string_view>;

// An option that only some optimizers or schedules have.
struct Special {
  const char* option;
  bool given;
  Names owners;
};

std::string joined(const Names& names) {
  std::string text;
  for (const auto name : names) {
    if (!text.empty()) text += name == names.back() ? " and " : ", ";
    text += name;
  }
  return text;
}

std::optional<Error> misplaced(const char* kind, const std::string& chosen, const std::vector<Special>& specials) {
  for (const auto& [option, given, owners] : specials) {
    if (!given || std::find(owners.begin(), owners.end(), chosen) != owners.end()) continue;
    return Error{
        ErrorKind::usage,
        std::string(option) + " is an option of " + kind + " " + joined(owners) + ", " + kind + " is " + chosen,
        {},
        std::string("leave it out, or give ") + kind + " " + std::string(owners.front())};
  }
  return {};
}

bool is_positive_number(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  return problem == std::errc() && end == text.data() + text.size() && value > 0;
}

std::optional<Error> milestone_problem(const TrainConfig& config) {
  if (config.schedule == "multistep" && config.milestones.empty())
    return Error{
        ErrorKind::usage, "--schedule multistep needs a --milestone", {}, "give one for each drop: --milestone 30"};
  for (const auto& milestone : config.milestones)
    if (!is_positive_number(milestone))
      return Error{ErrorKind::usage,
                   "--milestone " + milestone + " is not a number of epochs",
                   {},
                   "give a whole number, at least 1"};
  return {};
}

}  // namespace

std::optional<Error> optimizer_problem(const TrainConfig& config) {
  const Names adams = {"adamw", "adam", "lamb", "muon"};
  if (auto wrong = misplaced("--optimizer", config.optimizer,
                             {{"--momentum", config.momentum.has_value(), {"sgd", "lars", "muon"}},
                              {"--nesterov", config.nesterov, {"sgd", "lars"}},
                              {"--beta1", config.beta1.has_value(), adams},
                              {"--beta2", config.beta2.has_value(), adams},
                              {"--eps", config.eps.has_value(), adams},
                              {"--trust-coefficient", config.trust_coefficient.has_value(), {"lars"}},
                              {"--muon-scale", config.muon_scale.has_value(), {"muon"}},
                              {"--adamw-factor", config.adamw_factor.has_value(), {"muon"}},
                              {"--adamw-parameters", !config.adamw_parameters.empty(), {"muon"}}}))
    return wrong;
  if (auto wrong = misplaced("--schedule", config.schedule,
                             {{"--milestone", !config.milestones.empty(), {"multistep"}},
                              {"--end-factor", config.end_factor.has_value(), {"linear"}},
                              {"--power", config.power.has_value(), {"polynomial"}},
                              {"--rise-part", config.rise_part.has_value(), {"one-cycle"}}}))
    return wrong;
  if (auto wrong = milestone_problem(config)) return wrong;
  if (auto groups = parameter_groups(config, {}); !groups) return groups.error();
  if (config.nesterov && config.momentum == 0.0)
    return Error{ErrorKind::usage,
                 "--nesterov needs a momentum, --momentum is 0",
                 {},
                 "give --momentum 0.9, or leave --nesterov out"};
  if (config.optimizer == "muon" && config.momentum && *config.momentum >= 1)
    return Error{ErrorKind::usage, "--momentum of muon must be below 1", {}, "0.95 is usual"};
  if (config.scale_learning_rate != "none" && config.global_batch_size)
    return Error{ErrorKind::usage,
                 "--scale-learning-rate " + config.scale_learning_rate +
                     " with --global-batch-size: the batch does not grow with the ranks",
                 {},
                 "give --batch-size, or leave --scale-learning-rate out"};
  return {};
}

std::unique_ptr<Optimizer> make_optimizer(const TrainConfig& c, DataParallel& model) {
  std::vector<std::string> names;
  for (const auto& parameter : model.parameters()) names.push_back(parameter.name);
  const std::vector<ParameterGroup> groups = parameter_groups(c, names).value();
  if (c.optimizer == "adam" || c.optimizer == "adamw") {
    const AdamOptions d;
    return std::make_unique<FusedAdam>(model, AdamOptions{.learning_rate = c.learning_rate,
                                                          .beta1 = c.beta1.value_or(d.beta1),
                                                          .beta2 = c.beta2.value_or(d.beta2),
                                                          .eps = c.eps.value_or(d.eps),
                                                          .weight_decay = c.weight_decay,
                                                          .decoupled = c.optimizer == "adamw",
                                                          .groups = groups});
  }
  if (c.optimizer == "lamb") {
    const LambOptions d;
    return std::make_unique<Lamb>(model, LambOptions{.learning_rate = c.learning_rate,
                                                     .beta1 = c.beta1.value_or(d.beta1),
                                                     .beta2 = c.beta2.value_or(d.beta2),
                                                     .eps = c.eps.value_or(d.eps),
                                                     .weight_decay = c.weight_decay,
                                                     .adapts_vectors = !c.exempt_vectors,
                                                     .groups = groups});
  }
  if (c.optimizer == "lars") {
    const LarsOptions d;
    return std::make_unique<Lars>(model,
                                  LarsOptions{.learning_rate = c.learning_rate,
                                              .momentum = c.momentum.value_or(d.momentum),
                                              .weight_decay = c.weight_decay,
                                              .nesterov = c.nesterov,
                                              .trust_coefficient = c.trust_coefficient.value_or(d.trust_coefficient),
                                              .adapts_vectors = !c.exempt_vectors,
                                              .groups = groups});
  }
  if (c.optimizer == "muon") {
    const MuonOptions d;
    return std::make_unique<Muon>(
        model, MuonOptions{.learning_rate = c.learning_rate,
                           .momentum = c.momentum.value_or(d.momentum),
                           .weight_decay = c.weight_decay,
                           .scale = c.muon_scale == "original" ? MuonScale::original : MuonScale::match_adamw,
                           .adamw_parameters = c.adamw_parameters,
                           .adamw_factor = c.adamw_factor.value_or(d.adamw_factor),
                           .beta1 = c.beta1.value_or(d.beta1),
                           .beta2 = c.beta2.value_or(d.beta2),
                           .eps = c.eps.value_or(d.eps),
                           .groups = groups});
  }
  return std::make_unique<FusedSgd>(model, SgdOptions{.learning_rate = c.learning_rate,
                                                      .momentum = c.momentum.value_or(kSgdMomentum),
                                                      .weight_decay = c.weight_decay,
                                                      .nesterov = c.nesterov,
                                                      .groups = groups});
}

}  // namespace lockstep
