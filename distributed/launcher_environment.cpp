#include "lockstep/distributed/launcher_environment.h"

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "lockstep/core/error.h"
#include "lockstep/core/run_contract.h"

namespace lockstep {
namespace {

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

std::optional<int> variable(const char* name) {
  const char* text = std::getenv(name);
  return text ? number(text) : std::nullopt;
}

}  // namespace

LauncherEnvironment launcher_environment() {
  struct Names {
    const char *launcher, *rank, *size;
  };
  static constexpr Names kKnown[] = {
      {"Open MPI's mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
      {"PMI", "PMI_RANK", "PMI_SIZE"},
      {"Slurm's srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"},  // the latter is not set in a batch script
  };
  for (const Names& names : kKnown) {
    const auto rank = variable(names.rank), size = variable(names.size);
    if (rank && size && *rank >= 0 && *size > *rank) return {names.launcher, *rank, *size};
  }
  return {};
}

std::optional<int> expected_world_size() {
  const char* text = std::getenv(contract::kExpectedWorldSize);
  if (!text || !*text) return {};
  const auto value = number(text);
  if (!value || *value < 1)
    fail(ErrorKind::usage, std::string(contract::kExpectedWorldSize) + " is \"" + text + "\", not a number of ranks",
         "set it to the number of ranks that are started, or unset it");
  return value;
}

std::string world_size_hint(int found, int expected, const LauncherEnvironment& environment) {
  if (found != 1 || expected == 1)
    return "start as many ranks as expected, or set " + std::string(contract::kExpectedWorldSize) + " to " + std::to_string(found);
  const std::string trap = "every process initialised MPI alone and believes to be rank 0 of 1: ";
  if (environment.launcher.starts_with("Slurm"))
    return trap +
           "this MPI and srun do not share a process interface (Open MPI without PMIx under srun). Start with "
           "`srun --mpi=pmix` where `srun --mpi=list` shows it, else with `mpirun` inside the allocation";
  if (!environment.launcher.empty())
    return trap + "it was started by " + environment.launcher +
           ", which does not belong to the MPI library it is linked with. Use the mpirun of that library "
           "(`ldd` on the program shows which libmpi)";
  return trap + "it was started without a launcher. Use `mpirun -n " + std::to_string(expected) + " PROGRAM`";
}

}  // namespace lockstep
