#include "lockstep/core/given_options.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace lockstep {
namespace {

Error bad_value(const GivenOption& option, const std::string& problem) {
  return {ErrorKind::usage, option.typed + ": '" + option.text + "' " + problem, option.where, {}};
}

// Keys keep their place when they are named again, new ones follow: `--tags stage=late` changes one label of a file.
KeyValues merge_keys(const KeyValues& before, const KeyValues& given) {
  KeyValues merged;
  std::set<std::string> placed;
  for (const auto& [key, value] : before) {
    bool found = false;
    for (const auto& element : given) {
      if (element.first != key) continue;
      if (!placed.contains(key)) merged.push_back(element);
      found = true;
    }
    if (found)
      placed.insert(key);
    else
      merged.emplace_back(key, value);
  }
  for (const auto& element : given)
    if (!placed.contains(element.first)) merged.push_back(element);
  return merged;
}

// Appends what `option` says; "" or what is wrong with it.
std::string append_pair(const GivenOption& option, KeyValues& pairs) {
  std::string key;
  std::optional<std::string> value;
  if (option.pair) {
    std::tie(key, value) = *option.pair;
  } else {
    const auto equals = option.text.find('=');
    key = option.text.substr(0, equals);
    if (key.empty()) return "has no key: expected KEY=VALUE";
    if (equals != std::string::npos) value = option.text.substr(equals + 1);
  }
  std::string problem;
  if (!value && option.entry->bare_value) problem = option.entry->bare_value(key, value.emplace());
  pairs.emplace_back(std::move(key), value.value_or(""));
  return problem;
}

std::optional<Error> assign_pairs(const OptionEntry& entry, const std::vector<GivenOption>& given, void* config) {
  KeyValues before = entry.pairs(config), named;
  for (const GivenOption& option : given) {
    if (option.entry != &entry) continue;
    if (option.no_value) {
      before.clear();
      named.clear();
    } else if (const std::string problem = append_pair(option, named); !problem.empty()) {
      return bad_value(option, problem);
    }
  }
  entry.reset(config);
  for (const auto& [key, value] : merge_keys(before, named)) entry.add_pair(config, key, value);
  return std::nullopt;
}

std::optional<Error> assign_list(const OptionEntry& entry, const std::vector<GivenOption>& given, void* config) {
  entry.reset(config);
  for (const GivenOption& option : given) {
    if (option.entry != &entry) continue;
    if (option.no_value) {
      entry.reset(config);
    } else if (const std::string problem = entry.set(config, option.text); !problem.empty()) {
      return bad_value(option, problem);
    }
  }
  return std::nullopt;
}

}  // namespace

namespace {

std::string dashed(std::string name) {
  name.erase(0, name.find_first_not_of('-'));
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

Error given_twice(const GivenOption& first, const GivenOption& second) {
  const std::string at = first.where == second.where ? "" : " (first at " + first.where + ")";
  const std::string values = "'" + first.text + "' and '" + second.text + "'" + at;
  const bool two_names = dashed(first.typed) != dashed(second.typed);
  const std::string what = two_names ? first.typed + " and " + second.typed + " are names of one field: "
                                     : second.typed + " is given twice: ";
  return {ErrorKind::usage, what + values, second.where, "keep one of them"};
}

}  // namespace

std::vector<Error> assign_options(const std::vector<GivenOption>& given, void* config,
                                  OptionTableBase::Origins& origins) {
  std::vector<Error> errors;
  std::map<const OptionEntry*, const GivenOption*> first;
  for (const GivenOption& option : given) {
    const auto [earlier, is_new] = first.emplace(option.entry, &option);
    if (is_new) origins[option.entry->name] = origins[dashed(option.typed)] = option.where;
    if (option.entry->repeated) {
      if (!is_new) continue;
      const auto assign = option.entry->is_key_values ? assign_pairs : assign_list;
      if (auto error = assign(*option.entry, given, config)) errors.push_back(*error);
      continue;
    }
    if (!is_new) {
      errors.push_back(given_twice(*earlier->second, option));
    } else if (const std::string problem = option.entry->set(config, option.text); !problem.empty()) {
      errors.push_back(bad_value(option, problem));
    }
  }
  return errors;
}

}  // namespace lockstep
