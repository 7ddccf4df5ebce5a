// The environments that come with Lockstep: what the framework estimators of other systems would have given. Without
// versions, except where only one is known to work: the newest that the machine's Python can have is what people mean.
#include "lockstep/core/environment_registry.h"

namespace lockstep {
namespace {

Environment curated(const char* name, const char* description, std::vector<std::string> pip) {
  Environment environment;
  environment.name = name;
  environment.version = 1;
  environment.description = description;
  environment.python.pip = std::move(pip);
  return environment;
}

}  // namespace

const std::vector<Environment>& curated_environments() {
  static const std::vector<Environment> kAll{
      curated("lockstep-minimal", "what the machine has, nothing added", {}),
      curated("lockstep-cpp", "a C++ program with the machine's compiler and MPI, nothing added", {}),
      curated("lockstep-pytorch", "PyTorch with torchvision", {"numpy", "torch", "torchvision", "mpi4py"}),
      curated("lockstep-tensorflow", "TensorFlow with its Keras", {"numpy", "tensorflow", "mpi4py"}),
      curated("lockstep-keras", "Keras on TensorFlow", {"numpy", "keras", "tensorflow", "mpi4py"}),
      curated("lockstep-sklearn", "scikit-learn", {"numpy", "scipy", "scikit-learn", "joblib"}),
      // Its last release, which needs a numpy of its time.
      curated("lockstep-chainer", "Chainer, whose development has ended", {"numpy<1.24", "chainer==7.8.1", "mpi4py"}),
  };
  return kAll;
}

}  // namespace lockstep
