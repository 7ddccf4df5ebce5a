// What this machine offers: cores, GPUs, an MPI, interpreters.
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "lockstep/core/process.h"
#include "lockstep/launchers/launch_plan.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::vector<int> allowed_cpus() {
  // Larger than the machine's, or the call fails.
  constexpr int kMost = 16384;
  cpu_set_t* set = CPU_ALLOC(kMost);
  const std::size_t bytes = CPU_ALLOC_SIZE(kMost);
  CPU_ZERO_S(bytes, set);
  std::vector<int> cpus;
  if (::sched_getaffinity(0, bytes, set) == 0)
    for (int cpu = 0; cpu < kMost; ++cpu)
      if (CPU_ISSET_S(cpu, bytes, set)) cpus.push_back(cpu);
  CPU_FREE(set);
  return cpus;
}

// Hardware threads of one core share a sibling list: "0,64".
int whole_cores(const std::vector<int>& cpus) {
  std::set<std::string> cores;
  for (const int cpu : cpus) {
    const std::string siblings =
        first_line("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    cores.insert(siblings.empty() ? std::to_string(cpu) : siblings);
  }
  return std::max(1, static_cast<int>(cores.size()));
}

// The cores' worth of time a container may use ("max 100000" or "150000 100000"), rounded up; 0: no limit.
int quota_cores() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double quota = 0, period = 0;
  if (!(file >> quota >> period) || period <= 0) return 0;
  return std::max(1, static_cast<int>(std::ceil(quota / period)));
}

void count_cores(LocalMachine& machine) {
  const auto cpus = allowed_cpus();
  machine.cores = whole_cores(cpus);
  machine.all_cores = static_cast<long>(cpus.size()) == ::sysconf(_SC_NPROCESSORS_ONLN);
  if (const int quota = quota_cores(); quota > 0 && quota < machine.cores) {
    machine.cores = quota;
    machine.all_cores = false;
  }
}

// Device files are there for each GPU once the driver is loaded: no need to start nvidia-smi for it.
int count_gpus() {
  int count = 0;
  while (fs::exists("/dev/nvidia" + std::to_string(count))) ++count;
  return count;
}

// "mpirun (Open MPI) 4.1.4" -> "Open MPI 4.1.4"; "HYDRA build details:\n Version: 4.0.2" -> "MPICH 4.0.2".
std::string mpi_version(const std::string& mpirun) {
  if (mpirun.empty()) return {};
  const auto result = capture({.argv = {mpirun, "--version"}, .new_session = true}, 10, 4096);
  if (!result) return {};
  const std::string text = result->output + result->error;
  const std::size_t open = text.find("(Open MPI)");
  if (open != std::string::npos) return "Open MPI" + text.substr(open + 10, text.find('\n', open) - open - 10);
  const std::size_t label = text.find("Version:");
  if (label == std::string::npos) return text.substr(0, text.find('\n'));
  const std::size_t begin = std::min(text.find_first_not_of(" \t", label + 8), text.size());
  return "MPICH " + text.substr(begin, text.find('\n', begin) - begin);
}

std::string on_path(const char* program) {
  const char* path = std::getenv("PATH");
  const auto found = find_program(program, path ? path : "/usr/local/bin:/usr/bin:/bin");
  return found ? found->string() : std::string();
}

// This program, or for one that links the library: the one beside it, or on PATH.
std::string lockstep_program() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (self.filename() == "lockstep") return self.string();
  const auto beside = find_program("lockstep", self.parent_path().string());
  return beside ? beside->string() : on_path("lockstep");
}

// Where lockstep.py lies: in an installation, or in a build folder.
std::string python_modules(const fs::path& lockstep) {
  for (const char* folder : {"share/lockstep/python", "python"}) {
    const fs::path modules = lockstep.parent_path().parent_path() / folder;
    std::error_code ignored;
    if (!lockstep.empty() && fs::exists(modules / "lockstep.py", ignored)) return modules.string();
  }
  return {};
}

}  // namespace

int usable_cores() {
  LocalMachine machine;
  count_cores(machine);
  return machine.cores;
}

LocalMachine probe_local_machine() {
  LocalMachine machine;
  count_cores(machine);
  machine.gpus = count_gpus();
  machine.root = ::geteuid() == 0;
  machine.mpirun = on_path("mpirun");
  machine.mpi_version = mpi_version(machine.mpirun);
  machine.lockstep = lockstep_program();
  machine.python = on_path("python3");
  machine.python_modules = python_modules(machine.lockstep);
  machine.bash = on_path("bash");
  if (const char* threads = std::getenv("OMP_NUM_THREADS")) machine.omp_num_threads = threads;
  return machine;
}

std::map<std::string, std::string> current_environment() {
  std::map<std::string, std::string> environment;
  for (char** entry = environ; *entry; ++entry) {
    const std::string text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != std::string::npos) environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

}  // namespace lockstep
