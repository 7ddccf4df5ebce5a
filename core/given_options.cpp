#include "lockstep/core/given_options.h"

#include <set>
#include <string_view>

namespace lockstep {
namespace {

std::string_view key_of(const std::string& text) { return std::string_view(text).substr(0, text.find('=')); }

Error bad_value(const GivenOption& option, const std::string& problem) {
  return {ErrorKind::usage, option.typed + ": '" + option.text + "' " + problem, option.where, {}};
}

// One element of a repeated option: from what was there before (no origin), or given now.
struct Element {
  std::string text;
  const GivenOption* origin = nullptr;
};

// Keys keep their place when they are named again, new ones follow: `--tags stage=late` changes one label of a file.
std::vector<Element> merge_keys(const std::vector<std::string>& before, const std::vector<Element>& given) {
  std::vector<Element> merged;
  std::set<std::string, std::less<>> placed;
  const auto place = [&](std::string_view key) {
    bool found = false;
    for (const Element& element : given) {
      if (key_of(element.text) != key) continue;
      if (!placed.contains(key)) merged.push_back(element);
      found = true;
    }
    if (found) placed.emplace(key);
    return found;
  };
  for (const std::string& text : before) {
    if (!place(key_of(text))) merged.push_back({text, nullptr});
  }
  for (const Element& element : given) {
    if (!placed.contains(key_of(element.text))) merged.push_back(element);
  }
  return merged;
}

std::optional<Error> assign_repeated(const OptionEntry& entry, const std::vector<GivenOption>& given, void* config) {
  std::vector<std::string> before;
  if (entry.is_key_values) before = entry.get(config);
  std::vector<Element> elements;
  for (const GivenOption& option : given) {
    if (option.entry != &entry) continue;
    if (option.no_value) {
      before.clear();
      elements.clear();
    } else {
      elements.push_back({option.text, &option});
    }
  }
  entry.reset(config);
  for (const Element& element : entry.is_key_values ? merge_keys(before, elements) : elements) {
    const std::string problem = entry.set(config, element.text);
    if (!problem.empty() && element.origin != nullptr) return bad_value(*element.origin, problem);
  }
  return std::nullopt;
}

}  // namespace

std::optional<Error> assign_options(const std::vector<GivenOption>& given, void* config,
                                    OptionTableBase::Origins& origins) {
  std::map<const OptionEntry*, const GivenOption*> first;
  for (const GivenOption& option : given) {
    const auto [earlier, is_new] = first.emplace(option.entry, &option);
    if (is_new) origins[option.entry->name] = option.where;
    if (option.entry->repeated) {
      if (!is_new) continue;
      if (auto error = assign_repeated(*option.entry, given, config)) return error;
      continue;
    }
    if (!is_new) {
      const GivenOption& other = *earlier->second;
      const std::string at = other.where == option.where ? "" : " (first at " + other.where + ")";
      return Error{ErrorKind::usage,
                   option.typed + " is given twice: '" + other.text + "' and '" + option.text + "'" + at, option.where,
                   "keep one of them"};
    }
    const std::string problem = option.entry->set(config, option.text);
    if (!problem.empty()) return bad_value(option, problem);
  }
  return std::nullopt;
}

}  // namespace lockstep
