// Azure ML's estimators for one framework each, as presets: the framework's packages, with a version that is known.
#pragma once

#include <string>
#include <vector>

#include "lockstep/core/estimator.h"

namespace lockstep {

struct FrameworkPreset {
  std::string name;                   // "pytorch"
  std::vector<std::string> versions;  // that are supported; the first one is the default
  std::vector<std::string> packages;  // for pip; the first one takes the version, the others come with theirs
};

// By its name in any spelling: "PyTorch", "scikit-learn". Usage error when there is none, naming framework in `where`.
Result<FrameworkPreset> find_framework(const std::string& name);

// The estimator with its framework's packages among its pip_packages, before those it names itself; unchanged when it
// has no framework, or says otherwise where its packages come from. It must be sound.
Estimator with_framework_packages(Estimator estimator);

// For C++, by the documents' names.
Estimator PyTorch(Estimator estimator);
Estimator TensorFlow(Estimator estimator);
Estimator Keras(Estimator estimator);
Estimator Chainer(Estimator estimator);
Estimator SKLearn(Estimator estimator);

}  // namespace lockstep
