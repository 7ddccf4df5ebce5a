#include "lockstep/distributed/session/expected_world.h"

#include <charconv>
#include <cstdlib>

#include "lockstep/core/error.h"
#include "lockstep/core/run_contract.h"

namespace lockstep {

std::optional<RankEnvironment> launched_as() {
  static const auto at_start = read_rank_environment();
  return at_start ? *at_start : std::nullopt;
}

bool started_by_mpi(const std::optional<RankEnvironment>& environment) {
  if (!environment || environment->world_size.value_or(1) <= 1) return false;
  return environment->source != "Slurm" && environment->source != "torchrun";
}

bool speaks_before_mpi() {
  const auto environment = launched_as();
  return !started_by_mpi(environment) || environment->rank == 0;
}

std::optional<int> expected_world_size() {
  const char* text = std::getenv(contract::kExpectedWorldSize);
  const std::string value = text ? text : "";
  if (value.empty()) return {};
  int size = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), size);
  if (error != std::errc() || end != value.data() + value.size() || size < 1)
    fail(ErrorKind::usage, std::string(contract::kExpectedWorldSize) + " is \"" + value + "\", not a number of ranks",
         "set it to the number of ranks that are started, or unset it");
  return size;
}

std::string world_size_hint(int found, int expected, const std::optional<RankEnvironment>& environment) {
  if (found != 1)
    return "start as many ranks as expected, or set " + std::string(contract::kExpectedWorldSize) + " to " +
           std::to_string(found);
  const std::string trap = "every process initialised MPI alone and believes to be rank 0 of 1: ";
  if (!environment)
    return trap + "it was started without a launcher. Use `mpirun -n " + std::to_string(expected) + " PROGRAM`";
  if (environment->source == "Slurm")
    return trap +
           "this MPI and srun do not share a process interface (Open MPI without PMIx under srun). Start with "
           "`srun --mpi=pmix` where `srun --mpi=list` shows it, else with `mpirun` inside the allocation";
  if (environment->source == "torchrun")
    return trap + "torchrun starts no MPI program. Use `mpirun -n " + std::to_string(expected) + " PROGRAM`";
  return trap + "the launcher of " + environment->source +
         " started it, which does not belong to the MPI library it is linked with. Use the mpirun of that library "
         "(`ldd` on the program shows which libmpi)";
}

std::string alone_on_purpose_hint() {
  return "Where separate trainings are meant, set " + std::string(contract::kExpectedWorldSize) + "=1";
}

}  // namespace lockstep
