#include "lockstep/distributed/training/parameter_group_option.h"

#include <algorithm>
#include <cmath>

#include "lockstep/core/nearest_names.h"
#include "lockstep/core/options.h"

namespace lockstep {
namespace {

const std::vector<std::string> kKeys = {"learning-rate", "learning-rate-factor", "weight-decay"};

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t"), last = text.find_last_not_of(" \t");
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

// The text between separators, blanks around it taken off.
std::vector<std::string> parts(const std::string& text, char separator) {
  std::vector<std::string> found;
  for (std::size_t begin = 0;;) {
    const auto end = text.find(separator, begin);
    found.push_back(trimmed(text.substr(begin, end == std::string::npos ? end : end - begin)));
    if (end == std::string::npos) return found;
    begin = end + 1;
  }
}

Error refusal(const std::string& text, const std::string& what) {
  return {ErrorKind::usage,
          "--parameter-group \"" + text + "\": " + what,
          {},
          "for example --parameter-group \"fc3.*: learning-rate=0.01, weight-decay=0\""};
}

// Empty: `setting` has been put into `group`.
std::string apply(const std::string& setting, double learning_rate, ParameterGroup& group) {
  const auto equals = setting.find('=');
  const std::string key = trimmed(setting.substr(0, equals));
  if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end())
    return "no setting is called \"" + key + "\"" + suggestion(key, kKeys);
  if (equals == std::string::npos) return key + " has no value";
  double value = 0;
  if (const auto wrong = OptionValue<double>::parse(trimmed(setting.substr(equals + 1)), value); !wrong.empty())
    return key + " " + wrong;
  if (!(value >= 0) || std::isinf(value)) return key + " must be a number of at least 0";
  if (key == "weight-decay") {
    group.weight_decay = value;
  } else if (key == "learning-rate-factor") {
    group.learning_rate_factor = value;
  } else if (learning_rate > 0) {
    group.learning_rate_factor = value / learning_rate;
  } else {
    return "a learning-rate of its own needs a --learning-rate above 0, whose schedule it follows";
  }
  return {};
}

}  // namespace

Result<ParameterGroup> parse_parameter_group(const std::string& text, double learning_rate) {
  const auto colon = text.find(':');
  ParameterGroup group{.pattern = trimmed(text.substr(0, colon))};
  if (group.pattern.empty()) return refusal(text, "it names no parameters");
  if (colon == std::string::npos) return refusal(text, "it says whom it means, but not what differs");
  std::vector<std::string> seen;
  for (const auto& setting : parts(text.substr(colon + 1), ',')) {
    if (const auto wrong = apply(setting, learning_rate, group); !wrong.empty()) return refusal(text, wrong);
    const auto key = trimmed(setting.substr(0, setting.find('=')));
    const auto kind = key.substr(0, key.find("-factor"));  // the two of the learning rate are one
    if (std::find(seen.begin(), seen.end(), kind) != seen.end()) return refusal(text, kind + " is given twice");
    seen.push_back(kind);
  }
  return group;
}

Result<std::vector<ParameterGroup>> parameter_groups(const TrainConfig& config, const std::vector<std::string>& names) {
  std::vector<ParameterGroup> groups;
  for (const auto& text : config.parameter_groups) {
    auto group = parse_parameter_group(text, config.learning_rate);
    if (!group) return group.error();
    groups.push_back(group.value());
  }
  if (!config.exempt_vectors) return groups;
  for (auto& group : groups) group.vectors_weight_decay = 0;
  const bool all_named =
      std::all_of(names.begin(), names.end(), [&](const auto& name) { return group_of(name, groups) != nullptr; });
  if (!all_named) groups.push_back({.vectors_weight_decay = 0});
  return groups;
}

}  // namespace lockstep
