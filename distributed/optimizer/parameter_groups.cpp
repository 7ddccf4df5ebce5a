#include "lockstep/distributed/optimizer/parameter_groups.h"

#include "lockstep/core/error.h"
#include "lockstep/core/nearest_names.h"

namespace lockstep {
namespace {

bool is_member(const ParameterGroup& group, std::string_view name, std::int64_t dimensions) {
  return (!group.vectors_only || dimensions <= 1) && matches(name, group.pattern);
}

const ParameterGroup* group_of(const std::vector<ParameterGroup>& groups, std::string_view name,
                               std::int64_t dimensions) {
  for (const auto& group : groups)
    if (is_member(group, name, dimensions)) return &group;
  return nullptr;
}

void check_values(const ParameterGroup& group) {
  const auto at_least_zero = [&](const char* what, double value) {
    if (value >= 0) return;
    fail(ErrorKind::usage, std::string("the ") + what + " of the parameters \"" + group.pattern + "\" is " +
                               std::to_string(value) + ", it must be at least 0");
  };
  at_least_zero("learning-rate factor", group.learning_rate_factor);
  if (group.weight_decay) at_least_zero("weight decay", *group.weight_decay);
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

ParameterSettings settings_of(std::string_view name, std::int64_t dimensions, const std::vector<ParameterGroup>& groups,
                              double weight_decay) {
  const ParameterGroup* group = group_of(groups, name, dimensions);
  if (!group) return {.learning_rate_factor = 1, .weight_decay = weight_decay};
  return {.learning_rate_factor = group->learning_rate_factor,
          .weight_decay = group->weight_decay.value_or(weight_decay)};
}

void check_groups(const std::vector<ParameterGroup>& groups, const std::vector<std::string>& names,
                  const std::vector<std::int64_t>& dimensions) {
  for (const auto& group : groups) {
    check_values(group);
    bool used = false, matched = false;
    for (std::size_t i = 0; i < names.size() && !used; ++i) {
      matched = matched || is_member(group, names[i], dimensions[i]);
      used = group_of(groups, names[i], dimensions[i]) == &group;
    }
    if (used) continue;
    const std::string who = (group.vectors_only ? "no vector among the parameters" : "no parameter");
    if (matched)
      fail(ErrorKind::usage, "all parameters \"" + group.pattern + "\" belong to groups before this one",
           "put the more special pattern first");
    fail(ErrorKind::usage, who + " matches \"" + group.pattern + "\"" + suggestion(group.pattern, names));
  }
}

}  // namespace lockstep
