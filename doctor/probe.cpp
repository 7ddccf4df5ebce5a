// lockstep-probe: what only a program under mpirun can see. Rank 0 prints it as JSON. Started by lockstep doctor.
#include <dlfcn.h>
#include <mpi.h>
#if __has_include(<mpi-ext.h>)
#include <mpi-ext.h>
#endif

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/make_communicator.h"
#include "lockstep/distributed/communicator/measure_link.h"
#include "lockstep/distributed/communicator/nccl_module.h"

namespace {

using nlohmann::ordered_json;

// Asked, never tried: a GPU pointer given to an MPI that does not know it ends the process.
std::string cuda_aware() {
#if defined(MPIX_CUDA_AWARE_SUPPORT)
  return MPIX_Query_cuda_support() != 0 ? "yes" : "no";
#else
  const char* const mpich = std::getenv("MPICH_GPU_SUPPORT_ENABLED");  // Cray MPICH
  const char* const mvapich = std::getenv("MV2_USE_CUDA");
  const char* const intel = std::getenv("I_MPI_OFFLOAD");
  for (const char* const value : {mpich, mvapich, intel}) {
    if (value != nullptr && std::string(value) != "0") return "yes, by its variable";
  }
  return "not known";
#endif
}

std::string thread_level() {
  int level = MPI_THREAD_SINGLE;
  MPI_Query_thread(&level);
  if (level == MPI_THREAD_MULTIPLE) return "multiple";
  if (level == MPI_THREAD_SERIALIZED) return "serialized";
  return level == MPI_THREAD_FUNNELED ? "funneled" : "single";
}

// "Open MPI v4.1.4, package: …": up to the first comma or line.
std::string library() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string all(text, static_cast<std::size_t>(length));
  return all.substr(0, all.find_first_of(",\n"));
}

// The CUDA library of Lockstep is loaded only where there is a GPU.
ordered_json nccl() {
  ordered_json result{{"version", ""}, {"problem", ""}, {"remedy", ""}};
  if (!std::filesystem::exists("/dev/nvidia0")) return result;
  const auto module = lockstep::load_cuda_module();
  if (!module) {
    result["problem"] = module.error().what;
    result["remedy"] = module.error().hint;
    return result;
  }
  int version = 0;
  using GetVersion = int (*)(int*);
  const auto get = reinterpret_cast<GetVersion>(dlsym(RTLD_DEFAULT, "ncclGetVersion"));
  if (get == nullptr || get(&version) != 0) {
    result["problem"] = "NCCL does not tell its version";
    result["remedy"] = "install the NCCL that LibTorch was built with";
    return result;
  }
  result["version"] = "NCCL " + std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
                      std::to_string(version % 100);
  return result;
}

ordered_json links() {
  using namespace lockstep;
  constexpr std::int64_t sizes[] = {std::int64_t{4} << 10, std::int64_t{64} << 10, std::int64_t{1} << 20,
                                    std::int64_t{16} << 20};
  constexpr double budget_seconds = 5;  // for each backend
  LinkTable table;
  const auto chosen = make_communicator(MPI_COMM_WORLD, {});
  if (chosen->size() == 1) return ordered_json::array();
  const bool one_node = chosen->name() == "shm";
  for (const char* const backend : {one_node ? "shm" : "hierarchical", "mpi"}) {
    const auto communicator = make_communicator(MPI_COMM_WORLD, {.backend = backend, .timeout_seconds = 50});
    table.links.push_back(measure_link(*communicator, backend, sizes, budget_seconds));
  }
  return ordered_json::parse(to_text(table)).at("links");
}

}  // namespace

int main(int argc, char** argv) {
  int provided = MPI_THREAD_SINGLE;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  try {
    int rank = 0, ranks = 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const ordered_json measured = links();
    const ordered_json report{
        {"ranks", ranks},
        {"mpi", {{"library", library()}, {"thread_level", thread_level()}, {"cuda_aware", cuda_aware()}}},
        {"nccl", rank == 0 ? nccl() : ordered_json()},
        {"links", measured}};
    if (rank == 0) std::printf("%s\n", report.dump().c_str());
    std::fflush(stdout);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    std::fflush(stderr);
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
  return 0;
}
