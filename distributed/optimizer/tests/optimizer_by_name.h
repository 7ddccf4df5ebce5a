// Optimizers from text, for tests that run all of them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>

#include "lockstep/distributed/optimizer/fused_adam.h"
#include "lockstep/distributed/optimizer/fused_sgd.h"
#include "lockstep/distributed/optimizer/lamb.h"
#include "lockstep/distributed/optimizer/lars.h"
#include "lockstep/distributed/optimizer/muon.h"

namespace lockstep::testing {

using Values = std::map<std::string, double>;

// "learning_rate=0.1,momentum=0.9"
inline Values parse_values(const std::string& text) {
  Values values;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const auto equals = part.find('=');
    values[part.substr(0, equals)] = std::stod(part.substr(equals + 1));
  }
  return values;
}

// Throws std::runtime_error for a name of an optimizer or option that is not known.
inline std::unique_ptr<Optimizer> optimizer_by_name(DataParallel& model, const std::string& name, Values values) {
  const auto take = [&](const char* key, auto& target) {
    const auto found = values.find(key);
    if (found == values.end()) return;
    target = static_cast<std::remove_reference_t<decltype(target)>>(found->second);
    values.erase(found);
  };
  const auto made = [&](std::unique_ptr<Optimizer> optimizer) {
    if (!values.empty()) throw std::runtime_error(name + " has no option " + values.begin()->first);
    return optimizer;
  };
  if (name == "sgd") {
    SgdOptions o;
    take("learning_rate", o.learning_rate), take("momentum", o.momentum), take("dampening", o.dampening);
    take("weight_decay", o.weight_decay), take("nesterov", o.nesterov);
    return made(std::make_unique<FusedSgd>(model, o));
  }
  if (name == "adam" || name == "adamw") {
    AdamOptions o{.decoupled = name == "adamw"};
    take("learning_rate", o.learning_rate), take("beta1", o.beta1), take("beta2", o.beta2), take("eps", o.eps);
    take("weight_decay", o.weight_decay);
    return made(std::make_unique<FusedAdam>(model, o));
  }
  if (name == "lamb") {
    LambOptions o;
    take("learning_rate", o.learning_rate), take("beta1", o.beta1), take("beta2", o.beta2), take("eps", o.eps);
    take("weight_decay", o.weight_decay), take("adapts_vectors", o.adapts_vectors);
    return made(std::make_unique<Lamb>(model, o));
  }
  if (name == "lars") {
    LarsOptions o;
    take("learning_rate", o.learning_rate), take("momentum", o.momentum), take("weight_decay", o.weight_decay);
    take("nesterov", o.nesterov), take("trust_coefficient", o.trust_coefficient);
    take("adapts_vectors", o.adapts_vectors);
    return made(std::make_unique<Lars>(model, o));
  }
  if (name == "muon") {
    MuonOptions o;
    bool original = false, bfloat16 = false;
    take("learning_rate", o.learning_rate), take("momentum", o.momentum), take("weight_decay", o.weight_decay);
    take("nesterov", o.nesterov), take("original", original), take("bfloat16", bfloat16);
    take("adamw_factor", o.adamw_factor), take("beta1", o.beta1), take("beta2", o.beta2), take("eps", o.eps);
    if (original) o.scale = MuonScale::original;
    if (bfloat16) o.matrix_type = at::kBFloat16;
    return made(std::make_unique<Muon>(model, o));
  }
  throw std::runtime_error("no optimizer " + name);
}

}  // namespace lockstep::testing
