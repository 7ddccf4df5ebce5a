#include <sys/resource.h>
#include <sys/statvfs.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "lockstep/core/machine.h"
#include "lockstep/doctor/checks.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

// A line "MemTotal:  8123 kB" in bytes; 0 where there is none.
std::uintmax_t memory_info(const std::string& name) {
  std::ifstream file("/proc/meminfo");
  std::string word;
  while (file >> word) {
    std::uintmax_t value = 0;
    if (word == name + ":" && file >> value) return name.starts_with("HugePages") ? value : value * 1024;
  }
  return 0;
}

// The word in brackets: "always [madvise] never".
std::string chosen_in(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  const auto open = line.find('['), close = line.find(']');
  return open == std::string::npos || close == std::string::npos ? line : line.substr(open + 1, close - open - 1);
}

Finding memory() {
  const std::uintmax_t total = memory_info("MemTotal"), available = memory_info("MemAvailable");
  const std::string text = format_bytes(total) + " of memory, " + format_bytes(available) + " available";
  if (available < total / 10) {
    return {Level::warning, "machine", text, "end what uses it, or train with smaller batches: ranks may be killed"};
  }
  std::uintmax_t limit = 0;
  std::ifstream file("/sys/fs/cgroup/memory.max");
  if (file >> limit && limit < total) return {Level::ok, "machine", text + "; limited to " + format_bytes(limit), ""};
  return {Level::ok, "machine", text, ""};
}

Finding shared_memory() {
  struct statvfs info {};
  if (::statvfs("/dev/shm", &info) != 0) {
    return {Level::error, "machine", "there is no /dev/shm, through which ranks of one machine share memory",
            "mount -t tmpfs tmpfs /dev/shm"};
  }
  const std::uintmax_t unit = info.f_frsize, size = info.f_blocks * unit, free = info.f_bavail * unit;
  const std::string text = "shared memory: /dev/shm of " + format_bytes(size) + ", " + format_bytes(free) + " free";
  if (free < (std::uintmax_t{256} << 20)) {
    return {Level::warning, "machine", text,
            "gradients of large models do not fit: start the container with --shm-size 2g, or mount -o "
            "remount,size=50% /dev/shm"};
  }
  return {Level::ok, "machine", text, ""};
}

Finding huge_pages() {
  const fs::path folder = "/sys/kernel/mm/transparent_hugepage";
  std::error_code none;
  if (!fs::exists(folder / "enabled", none)) return {Level::ok, "machine", "huge pages: this kernel has none", ""};
  return {Level::ok, "machine",
          "huge pages: " + chosen_in(folder / "enabled") + "; of shared memory: " +
              chosen_in(folder / "shmem_enabled") + "; reserved: " + std::to_string(memory_info("HugePages_Total")),
          ""};
}

// What an InfiniBand network needs to be allowed.
Findings locked_memory() {
  std::error_code none;
  if (!fs::exists("/sys/class/infiniband", none) || fs::is_empty("/sys/class/infiniband", none)) return {};
  struct rlimit limit {};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  if (limit.rlim_cur == RLIM_INFINITY) return {{Level::ok, "machine", "InfiniBand; memory may be locked", ""}};
  return {{Level::warning, "machine", "InfiniBand, but only " + format_bytes(limit.rlim_cur) + " may be locked",
           "set memlock to unlimited in /etc/security/limits.conf, and PropagateResourceLimitsExcept=MEMLOCK in "
           "slurm.conf"}};
}

}  // namespace

Findings check_machine(const LocalMachine& machine) {
  Findings findings;
  Finding cores{Level::ok, "machine", host_name() + ": " + std::to_string(machine.cores) + " cores", ""};
  if (!machine.all_cores) cores.text += ", by an affinity mask or a quota fewer than the machine has";
  if (machine.cores < 2) {
    cores.level = Level::warning;
    cores.remedy = "several ranks would take turns on one core: use a machine with more";
  }
  findings.push_back(std::move(cores));
  findings.push_back(memory());
  findings.push_back(shared_memory());
  findings.push_back(huge_pages());
  for (Finding& finding : locked_memory()) findings.push_back(std::move(finding));
  return findings;
}

}  // namespace lockstep
