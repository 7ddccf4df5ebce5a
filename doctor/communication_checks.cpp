// MPI, NCCL and links, by a probe under mpirun: what goes wrong there cannot take the doctor along.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>

#include "lockstep/doctor/checks.h"

namespace lockstep {
namespace {

using nlohmann::ordered_json;

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// mpirun frames its messages with dashes.
std::string first_words(const std::string& text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    if (line.find_first_not_of("- \t\r") != std::string::npos) return line;
    at = end + 1;
  }
  return "it said nothing";
}

std::string probe_program() {
  std::error_code none;
  const auto folder = std::filesystem::read_symlink("/proc/self/exe", none).parent_path();
  const auto probe = find_program("lockstep-probe", folder.string());
  return probe ? probe->string() : std::string();
}

Finding mpi_finding(const ordered_json& mpi) {
  const std::string level = mpi.at("thread_level");
  Finding finding{Level::ok, "MPI", mpi.at("library").get<std::string>() + "; threads: " + level, ""};
  finding.text += "; CUDA-aware: " + mpi.at("cuda_aware").get<std::string>();
  if (level != "multiple") {
    finding.level = Level::warning;
    finding.remedy = "no thread completes collectives while a rank computes: use an MPI built with MPI_THREAD_MULTIPLE";
  }
  return finding;
}

Finding nccl_finding(const ordered_json& nccl, int gpus) {
  if (gpus == 0) return {Level::ok, "NCCL", "none: no GPU", ""};
  const std::string count = std::to_string(gpus) + (gpus == 1 ? " GPU" : " GPUs");
  const std::string version = nccl.at("version"), problem = nccl.at("problem");
  if (problem.empty()) return {Level::ok, "NCCL", version + ", " + count, ""};
  return {Level::warning, "NCCL", count + ", but " + problem, nccl.at("remedy").get<std::string>()};
}

std::string size_text(std::int64_t bytes) {
  return bytes < (1 << 20) ? std::to_string(bytes >> 10) + " KB" : std::to_string(bytes >> 20) + " MB";
}

std::string time_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, seconds < 1e-3 ? "%.3g us" : "%.3g ms", seconds * (seconds < 1e-3 ? 1e6 : 1e3));
  return text;
}

Finding link_finding(const ordered_json& link, int ranks) {
  const double alpha = link.at("alpha"), beta = link.at("beta");
  char rate[64] = "";
  if (beta > 0) std::snprintf(rate, sizeof rate, ", beta %.3g ns/B (%.3g GB/s)", 1e9 * beta, 1e-9 / beta);
  std::string text = "all_reduce by " + link.at("backend").get<std::string>() + ", " + std::to_string(ranks) +
                     " ranks: alpha " + time_text(alpha) + rate + ";";
  for (const auto& point : link.at("points")) {
    text += " " + size_text(point.at("bytes")) + " " + time_text(point.at("seconds")) + ",";
  }
  text.back() = ' ';
  text.pop_back();
  return {Level::ok, "links", text, ""};
}

}  // namespace

std::vector<std::string> probe_command(const LocalMachine& machine, const ProbeOptions& options,
                                       const std::string& probe) {
  const int processes = options.processes > 0 ? options.processes : std::clamp(machine.cores, 2, 4);
  std::vector<std::string> argv{machine.mpirun, "-n", std::to_string(processes)};
  if (machine.mpi_version.starts_with("Open MPI")) {
    for (const char* word : {"--oversubscribe", "--bind-to", "none"}) argv.emplace_back(word);
    if (machine.root) argv.emplace_back("--allow-run-as-root");
  }
  if (!options.hosts.empty()) argv.insert(argv.end(), {"--host", options.hosts});
  argv.push_back(probe);
  return argv;
}

Findings explain_probe(const Captured& end, int processes, double timeout_seconds, int gpus, ordered_json* measured) {
  if (end.status.signal != 0) {
    return {{Level::error, "MPI",
             std::to_string(processes) + " processes under mpirun did not end within " +
                 std::to_string(static_cast<int>(timeout_seconds)) + " s: " + first_words(end.error),
             "try mpirun -n 2 hostname; a firewall or a wrong network interface stops ranks from meeting "
             "(OMPI_MCA_btl_tcp_if_include)"}};
  }
  const auto report = ordered_json::parse(end.output, nullptr, false);
  if (end.status.code != 0 || !report.is_object()) {
    return {{Level::error, "MPI",
             "mpirun -n " + std::to_string(processes) + " ends with " + std::to_string(end.status.code) + ": " +
                 first_words(end.error),
             "try mpirun -n 2 hostname, and see that Lockstep was built with the MPI whose mpirun is on PATH"}};
  }
  const int ranks = report.at("ranks");
  if (ranks != processes) {
    return {{Level::error, "MPI",
             std::to_string(processes) + " processes were started, but each finds itself among " +
                 std::to_string(ranks) + ": mpirun and " + report.at("mpi").at("library").get<std::string>() +
                 " do not belong together",
             "put the mpirun of the MPI that Lockstep was built with first on PATH, or build Lockstep again"}};
  }
  Findings findings{mpi_finding(report.at("mpi")), nccl_finding(report.at("nccl"), gpus)};
  for (const auto& link : report.at("links")) findings.push_back(link_finding(link, ranks));
  if (measured != nullptr) *measured = report.at("links");
  return findings;
}

Findings check_communication(const LocalMachine& machine, const ProbeOptions& options, ordered_json* measured) {
  if (machine.mpirun.empty()) {
    return {{Level::error, "MPI", "there is no mpirun on PATH",
             "install an MPI (Debian: openmpi-bin), or load your site's module"}};
  }
  const std::string probe = probe_program();
  if (probe.empty()) {
    return {{Level::warning, "MPI", machine.mpi_version + "; lockstep-probe is not installed: nothing was measured",
             "build Lockstep with -DLOCKSTEP_TRAINING=ON"}};
  }
  const auto argv = probe_command(machine, options, probe);
  const auto end = capture({.argv = argv, .new_session = true}, options.timeout_seconds);
  if (!end) return {{Level::error, "MPI", first_line(end.error().what), end.error().hint}};
  return explain_probe(*end, std::stoi(argv[2]), options.timeout_seconds, machine.gpus, measured);
}

}  // namespace lockstep
