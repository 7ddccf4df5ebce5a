// Settings of single parameters: who is meant, and what differs. Pure functions of names and shapes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

// A parameter takes the settings of the first group that it matches; one that matches none keeps the optimizer's.
struct ParameterGroup {
  std::string pattern = "*";        // names as in state_dict; * stands for any characters, ? for one: "fc?.bias"
  double learning_rate_factor = 1;  // of the optimizer's learning rate
  std::optional<double> weight_decay = {};  // left out: the optimizer's
  // Of those of its parameters that have at most one dimension: biases, scales of norms. Left out: weight_decay.
  std::optional<double> vectors_weight_decay = {};
};

// What one parameter is updated with.
struct ParameterSettings {
  double learning_rate_factor = 1;
  double weight_decay = 0;
  bool operator==(const ParameterSettings&) const = default;
};

bool matches(std::string_view name, std::string_view pattern);

ParameterSettings settings_of(std::string_view name, std::int64_t dimensions, const std::vector<ParameterGroup>& groups,
                              double weight_decay);

// The group whose settings the parameter takes; null: none.
const ParameterGroup* group_of(std::string_view name, const std::vector<ParameterGroup>& groups);

// Throws Failure(usage) for a group that no parameter takes its settings from (a misspelled name, or one hidden behind
// an earlier group), and for values below 0.
void check_groups(const std::vector<ParameterGroup>& groups, const std::vector<std::string>& names);

}  // namespace lockstep
