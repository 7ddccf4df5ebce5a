#include "lockstep/distributed/optimizer/parameter_groups.h"

#include "lockstep/core/error.h"
#include "lockstep/core/nearest_names.h"

namespace lockstep {
namespace {

void check_values(const ParameterGroup& group) {
  const auto at_least_zero = [&](const char* what, double value) {
    if (value >= 0) return;
    fail(ErrorKind::usage, std::string("the ") + what + " of the parameters \"" + group.pattern + "\" is " +
                               std::to_string(value) + ", it must be at least 0");
  };
  at_least_zero("learning-rate factor", group.learning_rate_factor);
  if (group.weight_decay) at_least_zero("weight decay", *group.weight_decay);
  if (group.vectors_weight_decay) at_least_zero("weight decay of vectors among", *group.vectors_weight_decay);
}

}  // namespace

bool matches(std::string_view name, std::string_view pattern) {
  if (pattern.empty()) return name.empty();
  if (pattern.front() == '*') {
    while (!pattern.empty() && pattern.front() == '*') pattern.remove_prefix(1);
    if (pattern.empty()) return true;
    for (; !name.empty(); name.remove_prefix(1))
      if (matches(name, pattern)) return true;
    return false;
  }
  return !name.empty() && (pattern.front() == '?' || pattern.front() == name.front()) &&
         matches(name.substr(1), pattern.substr(1));
}

const ParameterGroup* group_of(std::string_view name, const std::vector<ParameterGroup>& groups) {
  for (const auto& group : groups)
    if (matches(name, group.pattern)) return &group;
  return nullptr;
}

ParameterSettings settings_of(std::string_view name, std::int64_t dimensions, const std::vector<ParameterGroup>& groups,
                              double weight_decay) {
  const ParameterGroup* group = group_of(name, groups);
  if (!group) return {.learning_rate_factor = 1, .weight_decay = weight_decay};
  const auto& given =
      dimensions <= 1 && group->vectors_weight_decay ? group->vectors_weight_decay : group->weight_decay;
  return {.learning_rate_factor = group->learning_rate_factor, .weight_decay = given.value_or(weight_decay)};
}

void check_groups(const std::vector<ParameterGroup>& groups, const std::vector<std::string>& names) {
  for (const auto& group : groups) {
    check_values(group);
    bool used = false, matched = false;
    for (const auto& name : names) {
      matched = matched || matches(name, group.pattern);
      used = used || group_of(name, groups) == &group;
    }
    if (used) continue;
    if (matched)
      fail(ErrorKind::usage, "all parameters \"" + group.pattern + "\" belong to groups before this one",
           "put the more special pattern first");
    fail(ErrorKind::usage, "no parameter matches \"" + group.pattern + "\"" + suggestion(group.pattern, names));
  }
}

}  // namespace lockstep
