#include "lockstep/launchers/container_command.h"

#include <cstdlib>
#include <filesystem>

#include "lockstep/core/process.h"

namespace lockstep {
namespace {

using Words = std::vector<std::string>;

// podman and apptainer read "docker.io/…" differently: the latter wants to be told that it is no file.
std::string image_of(const Container& container, bool is_podman) {
  const bool is_file = container.image.front() == '/' || container.image.find("://") != std::string::npos;
  return is_podman || is_file ? container.image : "docker://" + container.image;
}

Words podman(const Container& container) {
  Words words{container.program, "run", "--rm", "--network=host", "--pid=host", "--userns=keep-id", "--env-host"};
  words.push_back(container.shm_size.empty() ? "--ipc=host" : "--shm-size=" + container.shm_size);
  for (const std::string& folder : container.binds) words.push_back("--volume=" + folder + ":" + folder);
  if (!container.directory.empty()) words.push_back("--workdir=" + container.directory);
  if (container.gpu) words.push_back("--device=nvidia.com/gpu=all");
  words.push_back(image_of(container, true));
  return words;
}

Words apptainer(const Container& container) {
  Words words{container.program, "exec"};
  for (const std::string& folder : container.binds) {
    words.push_back("--bind");
    words.push_back(folder);
  }
  if (!container.directory.empty()) {
    words.push_back("--pwd");
    words.push_back(container.directory);
  }
  if (container.gpu) words.push_back("--nv");
  words.push_back(image_of(container, false));
  return words;
}

Words charliecloud(const Container& container) {
  Words words{container.program};
  for (const std::string& folder : container.binds) words.push_back("--bind=" + folder + ":" + folder);
  if (!container.directory.empty()) words.push_back("--cd=" + container.directory);
  words.push_back(container.image);
  words.push_back("--");
  return words;
}

}  // namespace

Result<Words> container_command(const Container& container, const Words& argv) {
  const std::string name = std::filesystem::path(container.program).filename().string();
  if (name != "podman" && !container.shm_size.empty())
    return Error{ErrorKind::usage,
                 "shm_size is " + container.shm_size + ", and " + name + " shares the host's /dev/shm", "shm_size",
                 "leave it out"};
  Words words = name == "podman"   ? podman(container)
                : name == "ch-run" ? charliecloud(container)
                                   : apptainer(container);
  words.insert(words.end(), argv.begin(), argv.end());
  return words;
}

std::string find_container_program() {
  const char* path = std::getenv("PATH");
  for (const char* name : {"podman", "apptainer", "singularity", "ch-run"})
    if (const auto found = find_program(name, path ? path : "/usr/local/bin:/usr/bin:/bin")) return found->string();
  return {};
}

}  // namespace lockstep
