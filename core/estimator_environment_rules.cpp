// What must hold for the environment that an estimator asks for.
#include <algorithm>
#include <cctype>
#include <iterator>
#include <map>

#include "lockstep/core/dataset_reference.h"
#include "lockstep/core/estimator_rules.h"
#include "lockstep/core/framework_presets.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/words.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i)
    text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  return text;
}

// Of `fields` those that are given.
std::vector<std::string> given_of(const Estimator& estimator, const std::vector<std::string>& fields) {
  const auto given = environment_fields(estimator);
  std::vector<std::string> result;
  for (const std::string& field : fields)
    if (std::find(given.begin(), given.end(), field) != given.end()) result.push_back(field);
  return result;
}

void check_one_environment(const Estimator& estimator, Findings& findings) {
  auto pieces = environment_fields(estimator);
  std::erase(pieces, "environment_definition");
  if (!estimator.environment_definition.empty() && !pieces.empty())
    findings.add("environment_definition", "environment_definition is given together with " + joined(pieces),
                 "a definition is the whole environment: put these into it, or leave it out");
  const auto packages = given_of(estimator, {"conda_packages", "pip_packages", "pip_requirements_file"});
  if (!estimator.conda_dependencies_file.empty() && !packages.empty())
    findings.add("conda_dependencies_file", "conda_dependencies_file is given together with " + joined(packages),
                 "write the packages into the file; those for pip have a list of their own there");
  const auto installed =
      given_of(estimator, {"conda_packages", "pip_packages", "conda_dependencies_file", "pip_requirements_file"});
  if ((estimator.user_managed || !estimator.python.empty()) && !installed.empty()) {
    const std::string field = estimator.user_managed ? "user_managed" : "python";
    findings.add(field, field + " is given together with " + joined(installed),
                 "it says that all packages are there already: leave out one or the other");
  }
}

void check_image(const Estimator& estimator, Findings& findings) {
  const std::string& image = estimator.custom_docker_image;
  if (estimator.use_docker == false && !image.empty())
    findings.add("use_docker", "use_docker is false, but there is an image to use: custom_docker_image is " + image,
                 "leave out one of the two");
  if (estimator.use_docker == true && image.empty() && estimator.environment_definition.empty())
    findings.add("use_docker", "use_docker is true, but no image is named", "give custom_docker_image");
  const auto sound = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || std::string_view("._-/:@").find(c) != std::string_view::npos;
  };
  if (!image.empty() &&
      (!std::all_of(image.begin(), image.end(), sound) || !std::isalnum(static_cast<unsigned char>(image.front()))))
    findings.add("custom_docker_image", "custom_docker_image is \"" + image + "\", which names no image",
                 "write NAME, NAME:TAG, REGISTRY/NAME:TAG or NAME@sha256:DIGEST");
  const std::string& size = estimator.shm_size;
  const auto digits = static_cast<std::size_t>(
      std::find_if_not(size.begin(), size.end(), [](unsigned char c) { return std::isdigit(c); }) - size.begin());
  const bool unit = digits == size.size() ||
                    (digits + 1 == size.size() && std::string_view("bkmgBKMG").find(size.back()) != std::string::npos);
  if (!size.empty() && (digits == 0 || !unit || size.find_first_not_of('0') >= digits))
    findings.add("shm_size", "shm_size is \"" + size + "\", which is no size", "write for example 512m or 2g");
}

// As in Azure ML: what an environment is made from travels with the code.
void check_file(const Estimator& estimator, const std::string& field, const std::string& file, Findings& findings) {
  std::error_code error;
  if (file.empty() || !fs::is_directory(estimator.source_directory, error)) return;
  const fs::path source = fs::canonical(estimator.source_directory, error);
  const fs::path path = fs::weakly_canonical(source / file, error);
  const fs::path inside = path.lexically_relative(source);
  if (inside.empty() || *inside.begin() == "..")
    return findings.add(field, field + " " + file + " lies outside the source directory " + source.string(),
                        "copy it into the source directory: only that is kept with the run");
  if (!fs::is_regular_file(path, error))
    findings.add(field, field + " " + file + " is no file in the source directory " + source.string());
}

void check_framework(const Estimator& estimator, Findings& findings) {
  if (estimator.framework.empty()) {
    if (!estimator.framework_version.empty())
      findings.add("framework_version",
                   "framework_version is " + estimator.framework_version + ", but no framework is named",
                   "give framework: pytorch, tensorflow, keras, chainer or sklearn");
    return;
  }
  const auto preset = find_framework(estimator.framework);
  if (!preset) return findings.add(preset.error());
  const auto& versions = preset->versions;
  const std::string& version = estimator.framework_version;
  if (!version.empty() && std::find(versions.begin(), versions.end(), version) == versions.end())
    findings.add(
        "framework_version",
        "framework_version " + version + " of " + preset->name + " is not supported; these are: " + joined(versions),
        "for another one leave framework out and give pip_packages = " + preset->packages.front() + "==" + version);
}

void check_python(const Estimator& estimator, Findings& findings) {
  std::error_code error;
  const std::string& python = estimator.python;
  if (python.empty() || python.find('/') == std::string::npos || fs::exists(python, error)) return;
  findings.add("python", "python is " + python + ", which does not exist",
               "name an interpreter on this machine, such as /opt/env/bin/python");
}

}  // namespace

std::vector<std::string> environment_fields(const Estimator& estimator) {
  static const std::vector<std::string> kFields{"environment_definition",
                                                "conda_packages",
                                                "pip_packages",
                                                "conda_dependencies_file",
                                                "pip_requirements_file",
                                                "python",
                                                "user_managed",
                                                "framework",
                                                "modules",
                                                "custom_docker_image",
                                                "shm_size"};
  static const Estimator kDefaults;
  std::vector<std::string> given;
  for (const std::string& field : kFields) {
    const OptionEntry& entry = *estimator_options().find(field);
    if (entry.get(&estimator) != entry.get(&kDefaults)) given.push_back(field);
  }
  return given;
}

void check_environment(const Estimator& estimator, Findings& findings) {
  check_one_environment(estimator, findings);
  check_image(estimator, findings);
  check_file(estimator, "conda_dependencies_file", estimator.conda_dependencies_file, findings);
  check_file(estimator, "pip_requirements_file", estimator.pip_requirements_file, findings);
  check_framework(estimator, findings);
  check_python(estimator, findings);
}

void check_environment_variables(const Estimator& estimator, Findings& findings) {
  const auto& ours = contract::kSetForRanks;
  std::map<std::string, std::string> seen;
  for (const auto& [name, value] : estimator.environment_variables) {
    if (!is_variable_name(name))
      findings.add("environment_variables", "\"" + name + "\" cannot name an environment variable",
                   "use letters, digits and _, not beginning with a digit");
    if (std::find(std::begin(ours), std::end(ours), name) != std::end(ours))
      findings.add("environment_variables",
                   "environment variable " + name + " cannot be given: Lockstep sets it for each rank",
                   name == contract::kResumeFrom ? "use resume_from" : "leave it out, or choose another name");
    if (value == kRedacted)
      findings.add(
          "environment_variables",
          "environment variable " + name + " is " + kRedacted + ", which stands for a value that was not written down",
          "set " + name + " where you submit and give its name alone: --environment-variables " + name);
    const auto [first, is_new] = seen.emplace(name, value);
    if (!is_new && first->second != value)
      findings.add("environment_variables", "environment variable " + name + " is given two values");
  }
}

}  // namespace lockstep
