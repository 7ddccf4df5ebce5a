#include "lockstep/distributed/checkpoint/checkpoint_description.h"

#include <ATen/ops/zeros.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

// JSON has neither NaN nor infinities.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(std::to_string(value)); }
double from_number(const Json& json) {
  return json.is_string() ? std::stod(json.get<std::string>()) : json.get<double>();
}

// Files from before the optimizer's state held the counts of updates say only who has had one: all that SGD needs.
void take_started(const Json& json, Checkpoint& checkpoint) {
  if (!json.contains("optimizer_started")) return;
  const auto started = json.at("optimizer_started").get<std::vector<bool>>();
  const at::Tensor steps = at::zeros({static_cast<std::int64_t>(started.size())}, at::kLong);
  for (std::size_t i = 0; i < started.size(); ++i) steps.data_ptr<std::int64_t>()[i] = started[i];
  checkpoint.optimizer.insert(checkpoint.optimizer.begin(), {"steps", steps});
}

}  // namespace

std::string describe(const Checkpoint& checkpoint) {
  Json windows = Json::array();
  for (const LossSums& window : checkpoint.loss_window)
    windows.push_back({{"loss", number(window.loss)}, {"samples", window.samples}});
  const Json json = {{"step", checkpoint.step},
                     {"epoch", checkpoint.position.epoch},
                     {"consumed", checkpoint.position.consumed},
                     {"learning_rate", number(checkpoint.learning_rate)},
                     {"first_step_samples", checkpoint.first_step_samples},
                     {"first_epoch_steps", checkpoint.first_epoch_steps},
                     {"world_size", checkpoint.loss_window.size()},
                     {"last_train_loss", number(checkpoint.last_train_loss)},
                     {"loss_window", windows},
                     {"identity", checkpoint.identity},
                     {"config", checkpoint.config}};
  return json.dump();
}

void take_description(const std::string& text, Checkpoint& checkpoint) {
  const Json json = Json::parse(text);
  checkpoint.step = json.at("step").get<std::int64_t>();
  checkpoint.position = {.epoch = json.at("epoch").get<std::int64_t>(),
                         .consumed = json.at("consumed").get<std::int64_t>()};
  checkpoint.learning_rate = from_number(json.at("learning_rate"));
  checkpoint.first_step_samples = json.value("first_step_samples", std::int64_t{0});
  checkpoint.first_epoch_steps = json.value("first_epoch_steps", std::int64_t{0});
  checkpoint.last_train_loss = from_number(json.at("last_train_loss"));
  for (const Json& window : json.at("loss_window"))
    checkpoint.loss_window.push_back(
        {.loss = from_number(window.at("loss")), .samples = window.at("samples").get<std::int64_t>()});
  take_started(json, checkpoint);
  checkpoint.identity = json.at("identity").get<std::map<std::string, std::string>>();
  checkpoint.config = json.at("config").get<std::string>();
}

}  // namespace lockstep
