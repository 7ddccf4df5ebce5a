#include "lockstep/distributed/training/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <string>

#include "lockstep/distributed/session/expected_world.h"

namespace lockstep {
namespace {

Terminal terminal_at(int descriptor) {
  Terminal terminal;
  terminal.interactive = isatty(descriptor) == 1;
  winsize size{};
  if (terminal.interactive && ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    terminal.columns = size.ws_col;
  return terminal;
}

}  // namespace

Terminal find_terminal() {
  if (!launched_as()) return terminal_at(STDOUT_FILENO);
  const std::string path = "/proc/" + std::to_string(getppid()) + "/fd/1";
  const int descriptor = open(path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return {};
  const Terminal terminal = terminal_at(descriptor);
  close(descriptor);
  return terminal;
}

}  // namespace lockstep
