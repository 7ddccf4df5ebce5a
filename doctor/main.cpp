// lockstep doctor: is this machine ready, and what do collectives cost here.
#include <unistd.h>

#include <exception>
#include <iostream>

#include "lockstep/core/option_checks.h"
#include "lockstep/core/options.h"
#include "lockstep/core/workspace.h"
#include "lockstep/doctor/checks.h"

namespace lockstep {
namespace {

struct DoctorOptions {
  bool json = false;
  int processes = 0;
  std::string hosts;
  std::filesystem::path workspace;
};

OptionTable<DoctorOptions> make_table() {
  OptionTable<DoctorOptions> table;
  table.add("processes", &DoctorOptions::processes, "N",
            "ranks of the measurement; 0: as many as cores, 2 at least and 4 at most", at_least(0));
  table.add("hosts", &DoctorOptions::hosts, "LIST", "measure between these: node1:2,node2:2, as mpirun's --host");
  table.add("workspace", &DoctorOptions::workspace, "DIR",
            "whose file system to try; empty: the workspace around here");
  table.add("json", &DoctorOptions::json, "", "for programs: all findings and the measured links");
  return table;
}

std::filesystem::path folder_of_runs(const std::filesystem::path& given) {
  if (!given.empty()) return given;
  const auto workspace = Workspace::from_config();
  return workspace ? workspace->root() : std::filesystem::current_path();
}

int run(const std::vector<std::string>& words) {
  const OptionTable<DoctorOptions> table = make_table();
  DoctorOptions options;
  for (const std::string& word : words) {
    if (word != "--help" && word != "-h") continue;
    std::cout << table.help(&options, "lockstep doctor [options]")
              << "\nLooks at machine, MPI, NCCL, links, file system and Slurm; each line is ok, a warning or an error "
                 "with a remedy.\nExit code: 1 where something is an error, else 0.\n";
    return 0;
  }
  table.parse_command_line(words, &options).value();
  const LocalMachine machine = probe_local_machine();
  nlohmann::ordered_json links = nlohmann::ordered_json::array();
  Findings findings = check_machine(machine);
  const auto add = [&](Findings more) { findings.insert(findings.end(), more.begin(), more.end()); };
  add(check_communication(machine, {.processes = options.processes, .hosts = options.hosts}, &links));
  add(check_files(folder_of_runs(options.workspace)));
  add(check_slurm());
  if (options.json) {
    std::cout << nlohmann::ordered_json{{"findings", to_json(findings)}, {"links", links}}.dump(
                     2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
              << '\n';
  } else {
    print(findings, std::cout, TerminalStyle::of(STDOUT_FILENO));
  }
  std::cout.flush();
  return std::cout ? exit_code(findings) : 1;
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  try {
    return lockstep::run({argv + 1, argv + argc});
  } catch (const std::exception& e) {
    const lockstep::Error error = lockstep::to_error(e);
    std::cerr << "lockstep doctor: " << error.message() << '\n';
    return lockstep::exit_code(error.kind);
  }
}
