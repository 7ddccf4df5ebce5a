#include "lockstep/distributed/communicator/nccl_module.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "lockstep/distributed/communicator/nccl_entry.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
constexpr const char* module_file = "liblockstep_cuda.so";

struct Module {
  std::string path;
  void* handle = nullptr;
};

// LOCKSTEP_CUDA_MODULE, or beside the program, or in its ../lib: where a build and an installation put it. Absolute
// paths, so that nothing is ever taken from the working directory.
std::vector<fs::path> places() {
  if (const char* given = std::getenv("LOCKSTEP_CUDA_MODULE")) return {fs::absolute(given)};
  std::error_code none;
  const fs::path folder = fs::read_symlink("/proc/self/exe", none).parent_path();
  if (!folder.is_absolute()) return {};
  return {folder / module_file, folder / ".." / "lib" / module_file,
          folder / ".." / LOCKSTEP_LIBRARY_FOLDER / module_file};
}

Error other_version(const std::string& path, const char* symbol) {
  return {ErrorKind::environment,
          path + " is of another version: it has no " + symbol,
          {},
          "build or install it together with this program"};
}

Result<Module> open(const std::string& path) {
  // Global: LibTorch finds the CUDA half of itself by symbols that libtorch_cuda registers.
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (handle == nullptr) {
    return Error{
        ErrorKind::environment,
        "the CUDA library cannot be loaded: " + std::string(dlerror()),
        {},
        "install what it names (CUDA, cuDNN and NCCL of the version LibTorch was built with), or train on the CPU"};
  }
  const void* make = dlsym(handle, make_nccl_communicator_symbol);
  if (make == nullptr) return other_version(path, make_nccl_communicator_symbol);
  Dl_info info{};
  const bool named = dladdr(make, &info) != 0 && info.dli_fname != nullptr;
  std::error_code none;
  return Module{fs::weakly_canonical(named ? info.dli_fname : path, none).string(), handle};
}

Result<Module> load() {
  if (!LOCKSTEP_BUILT_WITH_CUDA) {
    return Error{ErrorKind::environment,
                 "this build has no CUDA library",
                 {},
                 "configure with -DLOCKSTEP_CUDA=ON where the CUDA toolkit is installed, or train on the CPU"};
  }
  std::string tried;
  for (const fs::path& path : places()) {
    std::error_code none;
    if (fs::exists(path, none)) return open(path.string());
    tried += path.string() + ", ";
  }
  // In the run path of a program of another project (lockstepConfig.cmake).
  if (std::getenv("LOCKSTEP_CUDA_MODULE") == nullptr) {
    auto found = open(module_file);
    if (found || found.error().what.find(std::string(module_file) + ": cannot open") == std::string::npos) return found;
  }
  return Error{ErrorKind::environment,
               "the CUDA library is missing: no " + tried + "nor one in the program's run path",
               {},
               "install liblockstep_cuda.so beside the program or in its ../lib, or name it in LOCKSTEP_CUDA_MODULE"};
}

const Result<Module>& module() {
  static const Result<Module> result = load();
  return result;
}

}  // namespace

Result<std::string> load_cuda_module() {
  if (!module()) return module().error();
  return module()->path;
}

void* cuda_module_symbol(const char* name) {
  const Module& library = module().value();
  if (void* found = dlsym(library.handle, name)) return found;
  throw Failure(other_version(library.path, name));
}

std::unique_ptr<Communicator> make_nccl_communicator(MPI_Comm comm, const CommunicatorOptions& options) {
  auto* make = reinterpret_cast<MakeNcclCommunicator*>(cuda_module_symbol(make_nccl_communicator_symbol));
  return std::unique_ptr<Communicator>(make(comm, options));
}

}  // namespace lockstep
