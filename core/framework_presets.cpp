#include "lockstep/core/framework_presets.h"

#include <cctype>

#include "lockstep/core/nearest_names.h"

namespace lockstep {
namespace {

const std::vector<FrameworkPreset>& presets() {
  static const std::vector<FrameworkPreset> all{
      {"pytorch", {"2.11.0", "2.15.0", "2.14.1", "2.13.0", "2.12.1", "2.10.0", "2.9.1", "2.8.0", "2.7.1"}, {"torch"}},
      {"tensorflow", {"2.21.0", "2.20.0", "2.19.1", "2.18.1", "2.17.1", "2.16.2"}, {"tensorflow"}},
      {"keras", {"3.15.1", "3.14.1", "3.13.2", "3.12.4", "3.11.3", "3.10.0"}, {"keras", "tensorflow"}},
      {"chainer", {"7.8.1", "7.8.0", "7.7.0", "7.4.0"}, {"chainer"}},
      {"sklearn", {"1.9.1", "1.9.0", "1.8.0", "1.7.2", "1.6.1", "1.5.2"}, {"scikit-learn"}},
  };
  return all;
}

std::string plain(const std::string& name) {
  std::string word;
  for (const char c : name)
    if (std::isalnum(static_cast<unsigned char>(c))) word += static_cast<char>(std::tolower(c));
  return word == "scikitlearn" ? "sklearn" : word;
}

Estimator with_framework(Estimator estimator, const char* name) {
  estimator.framework = name;
  return estimator;
}

}  // namespace

Result<FrameworkPreset> find_framework(const std::string& name) {
  const std::string wanted = plain(name);
  std::vector<std::string> names;
  for (const FrameworkPreset& preset : presets()) {
    if (preset.name == wanted) return preset;
    names.push_back(preset.name);
  }
  if (wanted == "rl" || wanted == "reinforcementlearning" || wanted == "rllib")
    return Error{ErrorKind::usage, "there is no estimator for reinforcement learning", "framework",
                 "its ranks are workers of a Ray cluster, which Lockstep does not run: submit the program with the "
                 "packages it needs, or choose one of pytorch, tensorflow, keras, chainer, sklearn"};
  return Error{ErrorKind::usage, "there is no framework \"" + name + "\"" + suggestion(wanted, names), "framework",
               "for any other leave it out and name its packages: pip_packages"};
}

Estimator with_framework_packages(Estimator estimator) {
  const bool own = estimator.user_managed || !estimator.python.empty() || !estimator.environment_definition.empty() ||
                   !estimator.conda_dependencies_file.empty() || !estimator.custom_docker_image.empty();
  if (estimator.framework.empty() || own) return estimator;
  const FrameworkPreset preset = find_framework(estimator.framework).value();
  std::vector<std::string> packages = preset.packages;
  packages.front() +=
      "==" + (estimator.framework_version.empty() ? preset.versions.front() : estimator.framework_version);
  packages.insert(packages.end(), estimator.pip_packages.begin(), estimator.pip_packages.end());
  estimator.pip_packages = std::move(packages);
  return estimator;
}

Estimator PyTorch(Estimator estimator) { return with_framework(std::move(estimator), "pytorch"); }
Estimator TensorFlow(Estimator estimator) { return with_framework(std::move(estimator), "tensorflow"); }
Estimator Keras(Estimator estimator) { return with_framework(std::move(estimator), "keras"); }
Estimator Chainer(Estimator estimator) { return with_framework(std::move(estimator), "chainer"); }
Estimator SKLearn(Estimator estimator) { return with_framework(std::move(estimator), "sklearn"); }

}  // namespace lockstep
