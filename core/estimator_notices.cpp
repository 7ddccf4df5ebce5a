// What an estimator is told besides errors.
#include <algorithm>

#include "lockstep/core/estimator.h"
#include "lockstep/core/framework_presets.h"

namespace lockstep {
namespace {

// Azure ML's limits: records within them can be taken along.
constexpr std::size_t kLongestName = 100, kLongestValue = 1000, kLongestDescription = 5000, kMostTags = 50;

std::string underscored(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

// In characters of UTF-8, as people count.
std::size_t length(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](unsigned char c) { return (c & 0xC0) != 0x80; }));
}

void note_limits(const Estimator& estimator, std::vector<std::string>& notices) {
  const auto note = [&](const std::string& what, std::size_t value, std::size_t limit, const std::string& unit) {
    if (value > limit)
      notices.push_back(what + " has " + std::to_string(value) + " " + unit + "; Azure ML takes at most " +
                        std::to_string(limit));
  };
  for (const auto& [name, value] : estimator.tags) {
    note("the name of the tag " + name.substr(0, 20) + "…", length(name), kLongestName, "characters");
    note("the tag " + name.substr(0, 40), length(value), kLongestValue, "characters");
  }
  note("the run", estimator.tags.size(), kMostTags, "tags");
  note("the description", length(estimator.description), kLongestDescription, "characters");
}

void note_framework(const Estimator& estimator, std::vector<std::string>& notices) {
  if (estimator.framework.empty()) return;
  const auto preset = find_framework(estimator.framework);
  if (!preset) return;
  if (with_framework_packages(estimator).pip_packages.size() == estimator.pip_packages.size())
    notices.push_back("framework " + preset->name + " adds no packages: the environment says where they come from");
  else if (estimator.framework_version.empty())
    notices.push_back("framework_version is not given: " + preset->name + " " + preset->versions.front() +
                      " is taken; name it, and a later run takes the same");
}

}  // namespace

std::vector<std::string> notices(const Estimator& estimator, const OptionTableBase::Origins& origins) {
  std::vector<std::string> result;
  for (const OptionEntry& entry : estimator_options().entries())
    for (const std::string& old : entry.old_names)
      if (const auto given = origins.find(old); given != origins.end())
        result.push_back(given->second + ": " + underscored(old) + " is an old name of " + underscored(entry.name));
  note_framework(estimator, result);
  note_limits(estimator, result);
  if (estimator.checkpoint_signal_seconds && estimator.compute_target == "local")
    result.push_back(
        "checkpoint_signal_seconds is kept with the run; the local target ends runs without such a signal");
  if (!estimator.shm_size.empty() && estimator.custom_docker_image.empty() && estimator.environment_definition.empty())
    result.push_back("shm_size counts in a container only, and no image is named");
  return result;
}

}  // namespace lockstep
